"""The benchmarks of speed on a CPU.

python -m benchmarks.cpu [runtimes | folder | video | deformable] [OPTIONS]
"""

from __future__ import annotations

from benchmarks.commands import Room

main = Room(
    {
        "runtimes": ("benchmarks.cpu.runtimes.command", "one network in every runtime that can run it"),
        "folder": ("benchmarks.cpu.folder", "yolact-infer on a folder of photos beside the engine alone"),
        "video": ("benchmarks.cpu.video", "a video, from decoding to encoding, beside the engine alone"),
        "deformable": ("benchmarks.cpu.deformable", "two ONNX forms of a deformable convolution"),
    },
    help="Speed on this CPU.",
)

if __name__ == "__main__":
    main()
