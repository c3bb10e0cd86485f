"""Trackers on videos with exact tracks, and what smoothing is worth.

python -m benchmarks.tracking [association | smoothing] [OPTIONS]
"""

from __future__ import annotations

from benchmarks.commands import Room

main = Room(
    {
        "association": ("benchmarks.tracking.association", "HOTA and IDF1 of trackers on generated videos"),
        "smoothing": (
            "benchmarks.tracking.smoothing",
            "stability, tracks and AP of both trained models",
        ),
    },
    help="Tracking on this machine.",
)

if __name__ == "__main__":
    main()
