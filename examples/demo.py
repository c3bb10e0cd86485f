"""From the checkpoint that ships with the project to pictures and a video, with the commands a user would run.

All of it lands in demo/. The network knows machine parts in bins that are drawn by code, see
docs/results/trained-models.md.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(os.path.relpath(Path(__file__).parent))
CHECKPOINT = next(EXAMPLES.glob("yolact_demo_*.pth"))
BINS = EXAMPLES / "bins"
"""Pictures and a video that the network was not trained on."""

FOLDER = Path("demo")

THRESHOLD = "0.5"
"""Above it few detections are wrong: docs/results/trained-models.md."""


def run(command: str, *arguments: str | Path) -> None:
    """Run one of the installed commands as a user would, showing it first."""
    words = [command, *map(str, arguments)]
    print(f"\n$ {shlex.join(words)}", flush=True)
    subprocess.run([Path(sys.executable).parent / command, *words[1:]], check=True)


def main() -> None:
    """Export, infer on pictures and a video, explain."""
    FOLDER.mkdir(exist_ok=True)
    engine, shown = FOLDER / "yolact.onnx", ("--score-threshold", THRESHOLD)
    run("yolact-export", "--weights", CHECKPOINT, "--output", engine)
    run("yolact-infer", "--engine", engine, BINS / "images", *shown, "--output", FOLDER / "output")
    run("yolact-infer", "--engine", engine, BINS / "belt.mp4", *shown, "--track", "--output", FOLDER)
    picture = BINS / "images" / "000006.jpg"
    run("yolact-explain", "--engine", engine, picture, *shown, "--output", FOLDER / "explained.png")
    print(f"\n{FOLDER / 'output'} shows the parts that were found, {FOLDER / 'belt.mp4'} numbers them on a belt,")
    print(f"and {FOLDER / 'explained.png'} shows how masks come about.")
    export = Path(os.path.relpath(sys.executable)).parent / "yolact-export"
    print(f"Next, the official weights: {export} --weights dbolya/yolact-resnet50 --output yolact.onnx")


if __name__ == "__main__":
    main()
