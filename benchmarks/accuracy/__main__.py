"""The benchmarks of accuracy below float32.

python -m benchmarks.accuracy [int8 | precision] [OPTIONS]
"""

from __future__ import annotations

from benchmarks.commands import Room

main = Room(
    {
        "int8": ("benchmarks.accuracy.int8", "INT8: average precision, sizes, latency on this CPU"),
        "precision": ("benchmarks.accuracy.precision", "fp16 and bf16, emulated: average precision, heads"),
    },
    help="What precisions below float32 cost in accuracy.",
)

if __name__ == "__main__":
    main()
