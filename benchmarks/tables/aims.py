"""The project's aims on a CPU, beside the measurements."""

from __future__ import annotations

from typing import Any

from benchmarks.markdown import table

Figures = dict[str, Any]


def aims(compared: Figures, folder: Figures, bench: Figures) -> str:
    """A table of the aims, from the figures of the runtimes, of folders, and of yolact-bench on the FP32 file."""
    whole, heads = compared["end_to_end"], compared["heads"]
    faster = whole.get("ours-int8", {}).get("times_as_fast")
    raw, alone = _milliseconds(whole, "ours-raw-int8"), _milliseconds(heads, "ours-int8")
    rows = [
        _at_least("times as fast as eager PyTorch, end to end, INT8", 4.0, faster),
        _at_least("times as fast as ncnn, end to end, FP32", 1.0, _ratio(whole, "ncnn-fp32", "ours-fp32")),
        _at_least("times as fast as ncnn, raw heads, FP32", 1.0, _ratio(heads, "ncnn-fp32", "ours-fp32")),
        _at_most("times as long as OpenVINO, raw heads, FP32", 1.3, _ratio(heads, "ours-fp32", "openvino-fp32")),
        _at_most("the same, the same INT8 file", 1.3, _ratio(heads, "ours-int8", "openvino-int8")),
    ]
    what = "INT8 with a raw graph, from an image to masks: times as long as the heads alone"
    rows.append(_at_most(what, 1.05, raw / alone if raw and alone else None))
    for name, precision in (("fp32", "FP32"), ("auto", "`--precision auto`"), ("int8", "INT8")):
        measured = _ratio(heads, f"ours-openvino-{name}", f"openvino-{name}")
        rows.append(_at_most(f"on OpenVINO, times as long as OpenVINO's own, same file, {precision}", 1.03, measured))
    for name, row in folder["engines"].items():
        aim = 0.8 if name.startswith("yolact_demo") else 0.95  # what is around a small network weighs more
        rows.append(
            _at_least(f"yolact-infer on a folder, of the engine's own throughput one by one, {name}", aim, row["share"])
        )
    size = f"{bench['by_detections']['width_px']}x{bench['by_detections']['height_px']}"
    rows.append(_at_most(f"ms for each further detection, {size}", 0.2, bench["by_detections"]["ms_per_detection"]))
    return table(("", "aim", "measured", ""), rows)


def _milliseconds(rows: Figures, name: str) -> float | None:
    """The median of a contender, None if it was not measured."""
    found: float | None = rows.get(name, {}).get("ms", {}).get("median")
    return found


def _ratio(rows: Figures, over: str, under: str) -> float | None:
    """The ratio of two medians; None if one of them was not measured."""
    times = _milliseconds(rows, over), _milliseconds(rows, under)
    return times[0] / times[1] if times[0] and times[1] else None


def _at_least(what: str, aim: float, measured: float | None) -> tuple[str, ...]:
    return _row(what, f"at least {aim:g}", measured, measured is not None and measured >= aim)


def _at_most(what: str, aim: float, measured: float | None) -> tuple[str, ...]:
    return _row(what, f"at most {aim:g}", measured, measured is not None and measured <= aim)


def _row(what: str, aim: str, measured: float | None, met: bool) -> tuple[str, ...]:
    if measured is None:
        return what, aim, "not measured", ""
    return what, aim, f"{measured:.3g}", "met" if met else "not met"
