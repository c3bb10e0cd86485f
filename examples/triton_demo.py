"""Serves the demonstration model with NVIDIA's Triton on this machine and sends it requests, in demo/triton.

`make triton-demo` installs the server and runs this. Everything is on the loopback interface and ends by itself.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

from yolact.serving.local_server import LocalServer

ROOT = Path(__file__).resolve().parents[1]
CHECKPOINT = Path(os.path.relpath(next((ROOT / "examples").glob("yolact_demo_*.pth"))))
PICTURES = Path(os.path.relpath(ROOT / "examples" / "bins" / "images"))
ENVIRONMENT = ROOT / "build" / "triton"
FOLDER = Path("demo/triton")


def run(command: str, *arguments: str | Path) -> None:
    """Run one of the installed commands as a user would, showing it first."""
    words = [command, *map(str, arguments)]
    print(f"\n$ {shlex.join(words)}", flush=True)
    subprocess.run([Path(sys.executable).parent / command, *words[1:]], check=True)


def main() -> None:
    """Export, write a repository, serve it, infer here and there, compare."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    engine, models = FOLDER / "yolact.onnx", FOLDER / "models"
    run("yolact-export", "--weights", CHECKPOINT, "--output", engine)
    run("yolact-triton", "--engine", engine, "--repository", models)
    run("yolact-triton", "--engine", engine, "--repository", models, "--check")
    print(f"\n$ tritonserver --model-repository={models}", flush=True)
    with LocalServer(ENVIRONMENT, models) as server:
        address = server.address("yolact")
        for name, model in (("here", ("--engine", engine)), ("there", ("--triton", address))):
            json = FOLDER / f"{name}.json"
            run("yolact-infer", *model, PICTURES, "--output", FOLDER / name, "--json", json)
    same = (FOLDER / "here.json").read_bytes() == (FOLDER / "there.json").read_bytes()
    print(f"\nTriton's detections {'equal the local ones to the bit' if same else 'differ'}: {FOLDER / 'there'}.")
    if not same:
        sys.exit(1)


if __name__ == "__main__":
    main()
