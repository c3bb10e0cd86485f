"""The benchmarks of training and of the pictures drawn for it.

python -m benchmarks.training [speed | scenes] [OPTIONS]
"""

from __future__ import annotations

from benchmarks.commands import Room

main = Room(
    {
        "speed": ("benchmarks.training.speed", "the loop beside forward and backward alone, and memory"),
        "scenes": ("benchmarks.training.scenes", "pictures of bins that are drawn a second"),
    },
    help="Training on this machine.",
)

if __name__ == "__main__":
    main()
