"""The benchmarks of accuracy: trained models, and precisions below float32.

python -m benchmarks.accuracy [trained | int8 | precision] [OPTIONS]
"""

from __future__ import annotations

from benchmarks.commands import Room

main = Room(
    {
        "trained": (
            "benchmarks.accuracy.trained",
            "both trained models in every precision: average precision, speed",
        ),
        "int8": ("benchmarks.accuracy.int8", "INT8: average precision, sizes, latency on this CPU"),
        "precision": ("benchmarks.accuracy.precision", "fp16 and bf16, emulated: average precision, heads"),
    },
    help="The accuracy of the trained models, and its loss in precisions below float32.",
)

if __name__ == "__main__":
    main()
