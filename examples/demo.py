"""From the checkpoint that ships with the project to pictures, with the commands a user would run; all lands in demo/.

The network is small and knows six shapes in synthetic scenes (docs/results/demo-model.md); every step is the real one.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

CHECKPOINT = Path(os.path.relpath(next(Path(__file__).parent.glob("yolact_demo_*.pth"))))
FOLDER = Path("demo")
SEED = "2019"
"""The seed of scenes that the network was not trained on."""


def run(command: str, *arguments: str | Path) -> None:
    """Run one of the installed commands as a user would, showing it first."""
    words = [command, *map(str, arguments)]
    print(f"\n$ {shlex.join(words)}", flush=True)
    subprocess.run([Path(sys.executable).parent / command, *words[1:]], check=True)


def main() -> None:
    """Export, draw scenes, infer, explain."""
    FOLDER.mkdir(exist_ok=True)
    engine, scenes = FOLDER / "yolact.onnx", FOLDER / "scenes"
    run("yolact-export", "--weights", CHECKPOINT, "--output", engine)
    run("yolact-scenes", "--count", "4", "--seed", SEED, "--height", "480", "--width", "640", "--output", scenes)
    run("yolact-infer", "--engine", engine, scenes / "images", "--output", FOLDER / "output")
    picture = scenes / "images" / "000000.png"
    run("yolact-explain", "--engine", engine, picture, "--output", FOLDER / "explained.png")
    print(f"\nPictures: {FOLDER / 'output'} shows what was found, {FOLDER / 'explained.png'} how masks come about.")
    export = Path(os.path.relpath(sys.executable)).parent / "yolact-export"
    print(f"Next, a checkpoint of yours: {export} --weights yolact_resnet50_54_800000.pth --output yolact.onnx")


if __name__ == "__main__":
    main()
