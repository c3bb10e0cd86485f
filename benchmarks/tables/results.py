"""Which results the documents show: the command that measures each, its files, and the tables made of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.accuracy import tables as accuracy
from benchmarks.batch import tables as batch
from benchmarks.cpu import tables as cpu
from benchmarks.cpu.runtimes import tables as runtimes
from benchmarks.gpu import tables as gpu
from benchmarks.gpu.check.report import check_table
from benchmarks.gpu.kernels.report import kernel_table
from benchmarks.markdown import table
from benchmarks.service import tables as service
from benchmarks.tables import bench, known
from benchmarks.tables.aims import aims
from benchmarks.tracking import tables as tracking
from benchmarks.training import tables as training

RESULTS = Path("benchmarks", "results")

Table = Callable[..., str]
"""A function from the figures of a result's files, in their order, to Markdown."""


@dataclass(frozen=True)
class Result:
    """Figures that documents show.

    Attributes:
        command: writes them; empty for figures of other people.
        tables: each by the name that documents use.
        paths: of the files, relative to the repository.
        on_gpu: the benchmark needs one.
    """

    command: str
    tables: dict[str, Table]
    paths: tuple[Path, ...]
    on_gpu: bool = False


def published(figures: dict[str, Any]) -> str:
    """The figures that other people have published."""
    keys = ("network", "hardware", "software", "fps", "mask_ap", "data")
    rows = ((*(row[key] for key in keys), f"[{row['source']}]({row['url']})") for row in figures["rows"])
    return table(("network", "their hardware", "by", "fps", "mask AP", "on", "source"), rows)


def _files(*names: str) -> tuple[Path, ...]:
    return tuple(RESULTS / f"{name}.json" for name in names)


def _result(name: str, benchmark: str, tables: dict[str, Table], *, on_gpu: bool = False) -> Result:
    """The result that one benchmark wrote into the file of that name."""
    (path,) = _files(name)
    return Result(f"python -m benchmarks.{benchmark} --json {path.as_posix()}", tables, (path,), on_gpu)


_RUNTIMES = {
    **{one.__name__: one for one in (runtimes.end_to_end, runtimes.heads, runtimes.parts, runtimes.ours)},
    **{model: runtimes.trained(model) for model in runtimes.MODELS},
}
_SERVICE = {
    "overhead": service.overhead,
    "load": service.load,
    "processes": service.processes,
    "memory": service.memory,
}
_INT8 = {"accuracy": accuracy.int8_accuracy, "latency": accuracy.int8_latency, "plans": accuracy.int8_plans}
_PRECISION = {"accuracy": accuracy.precision_accuracy, "heads": accuracy.precision_heads}
_SMOOTHING = {
    f"{model}-{part}": render(model)
    for model in ("bins", "nuclei")
    for part, render in (("motions", tracking.motions), ("films", tracking.films))
}
_TRAINED = {
    f"{model}-{part}": render(model)
    for model in ("bins", "nuclei")
    for part, render in (
        ("precisions", accuracy.trained_precisions),
        ("shown", accuracy.trained_shown),
        ("groups", accuracy.trained_groups),
        ("worst", accuracy.trained_worst),
    )
}
_PUBLISHED = (Path("benchmarks", "tables", "published.json"),)

RESULTS_SHOWN = {
    "cpu_runtimes": _result("cpu_runtimes", "cpu runtimes --nuclei DIR", _RUNTIMES),
    "cpu_speed": _result("cpu_runtimes", "cpu runtimes --nuclei DIR", {"milliseconds": runtimes.milliseconds}),
    "int8": _result("int8", "accuracy int8 --nuclei DIR", _INT8),
    "precision": _result("precision", "accuracy precision --images DIR", _PRECISION),
    "plans": _result("plans", "gpu plans", {"plans": gpu.plans}),
    "kernel_resources": _result(
        "kernel_resources",
        "gpu resources",
        {
            "sheet": gpu.cost_sheet,
            "detector": gpu.detector_sheet,
            "masks": gpu.mask_forms,
            "path": gpu.around_engine,
            "loops": gpu.loops,
            "kernels": gpu.resources,
        },
    ),
    "kernels_before": Result(
        "python -m benchmarks.gpu resources",
        {"estimates": gpu.before_and_now},
        _files("kernel_resources_before", "kernel_resources"),
    ),
    "smoothing": _result("smoothing", "tracking smoothing --nuclei DIR", _SMOOTHING),
    "trained": _result("trained", "accuracy trained --nuclei DIR", _TRAINED),
    "tracking": _result("tracking", "tracking association", {"association": tracking.association}),
    "training": Result(
        "python -m benchmarks.training speed --config NAME --data SPEC --json FILE",
        {"speed": training.speed, "memory": training.memory},
        _files("training", "training_demo"),
    ),
    "scenes": _result("scenes", "training scenes", {"drawing": training.drawing}),
    "deformable": _result("deformable", "cpu deformable", {"forms": cpu.deformable}),
    "gpu_kernels": _result("gpu_kernels", "gpu kernels", {"kernels": kernel_table}, on_gpu=True),
    "gpu_check": _result("gpu_check", "gpu.check", {"end_to_end": check_table}, on_gpu=True),
    "service": _result("service", "service", _SERVICE),
    "triton": _result("triton", "service.triton", {"load": service.triton}),
    "batch": _result("batch", "batch", {one.__name__: one for one in (batch.share, batch.memory, batch.million)}),
    "folder": _result("folder", "cpu folder --engine FILE ... --images DIR", {"share": cpu.folder}),
    "video": _result("video", "cpu video --engine FILE ...", {"share": cpu.video}),
    "bench_cpu": Result(
        "yolact-bench --engine yolact_resnet50.onnx --json benchmarks/results/bench_cpu.json",
        {"stages": bench.stages, "detections": bench.detections},
        _files("bench_cpu"),
    ),
    "aims": Result(
        "python -m benchmarks.cpu runtimes, python -m benchmarks.cpu folder, yolact-bench",
        {"cpu": aims},
        _files("cpu_runtimes", "folder", "bench_cpu"),
    ),
    "models": Result("", {"official": known.official}, _PUBLISHED),
    "published": Result("", {"rows": published}, _PUBLISHED),
}
"""All results by the name that documents use."""

PICTURES: dict[Path, tuple[str, Table]] = {
    Path("docs", "results", "cpu-speed.svg"): ("cpu_speed", runtimes.speed_chart),
}
"""Pictures by their path in the repository: the name of the result that each shows, and what draws it."""
