"""Trackers on videos with exact tracks.

python -m benchmarks.tracking association [OPTIONS]
"""

from __future__ import annotations

from benchmarks.commands import Room

main = Room(
    {"association": ("benchmarks.tracking.association", "HOTA and IDF1 of trackers on generated videos")},
    help="Tracking on this machine.",
)

if __name__ == "__main__":
    main()
