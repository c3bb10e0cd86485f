"""From a checkpoint to an annotated picture with the two commands a user would run; everything lands in demo/.

No trained checkpoint ships with the project yet, so this one is made by a rule: lively random weights. What it finds
is meaningless, but every step is the real one.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import cv2
import torch

from yolact.export.check_image import make_check_image
from yolact.training.configs import get_config
from yolact.training.seeded_weights import seeded_state_dict

FOLDER = Path("demo")


def run(command: str, *arguments: str | Path) -> None:
    """Run one of the installed commands as a user would, showing it first."""
    words = [command, *map(str, arguments)]
    print(f"\n$ {shlex.join(words)}", flush=True)
    subprocess.run([Path(sys.executable).parent / command, *words[1:]], check=True)


def main() -> None:
    """Make a checkpoint and a picture, export, infer."""
    FOLDER.mkdir(exist_ok=True)
    checkpoint = FOLDER / "yolact_resnet50_0_0.pth"
    torch.save(seeded_state_dict(get_config("yolact_resnet50")), checkpoint)
    picture = FOLDER / "scene.png"
    cv2.imwrite(str(picture), make_check_image())
    print(f"made {checkpoint} (random weights) and {picture}")
    engine = FOLDER / "yolact.onnx"
    run("yolact-export", "--weights", checkpoint, "--output", engine)
    run("yolact-infer", "--engine", engine, picture, "--output", FOLDER / "output")
    print(f"\nLook at {FOLDER / 'output' / picture.name}. The commands are in {Path(sys.executable).parent}.")


if __name__ == "__main__":
    main()
