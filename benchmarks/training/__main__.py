"""The benchmark of training, and curves of its runs.

python -m benchmarks.training [speed | curve] [OPTIONS]
"""

from __future__ import annotations

from benchmarks.commands import Room

main = Room(
    {
        "speed": ("benchmarks.training.speed", "the loop beside forward and backward alone, and memory"),
        "curve": ("benchmarks.training.curve", "draws losses and average precision of runs as an SVG"),
    },
    help="Training on this machine.",
)

if __name__ == "__main__":
    main()
