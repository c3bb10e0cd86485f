"""The result of a benchmark as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from yolact.runtime.wording import count_noun

_TITLES = {
    "decode": "decode",
    "preprocess": "preprocess",
    "host_to_device": "host to device",
    "engine": "engine",
    "device_to_host": "device to host",
    "postprocess": "post-process",
    "end_to_end": "end to end",
}
_COLUMNS = ("p50_ms", "p90_ms", "p99_ms", "images_per_s")
_HEADS = "".join(f"{head:>11}" for head in ("p50 ms", "p90 ms", "p99 ms", "images/s"))
_MASKS = {"full": "full-size masks", "rle": "masks as RLE"}
FEW_RUNS = 100
"""With fewer runs, the 99th percentile is nearly the slowest run."""


def report_lines(result: Mapping[str, Any]) -> Iterator[str]:
    """The result of `measure.run_benchmark` as lines of text."""
    yield from _conditions(result)
    for row in result["batches"]:
        yield ""
        yield from _batch(row)
    if len(result["batches"]) > 1:
        yield ""
        yield from _by_batch(result["batches"])
    yield ""
    yield from _by_detections(result["by_detections"], result["settings"]["masks"])
    yield ""
    yield from _fps(result)
    yield from _memory(result["memory"])


def _conditions(result: Mapping[str, Any]) -> Iterator[str]:
    engine, machine, settings = result["engine"], result["machine"], result["settings"]
    size = engine["image_size_px"]
    yield f"{engine['file']}: {engine['config']}, {size}x{size}, {engine['graph']} graph, {engine['precision']}"
    yield f"runs on: {engine['software']}, {engine['device']}"
    cpu, gpu = machine["cpu"], machine["gpu"]
    before, after = machine["clocks_before"], machine["clocks_after"]
    cores, governor = count_noun(cpu["usable_cores"], "usable core"), _known(cpu["governor"])
    mhz = _before_and_after(before, after, "cpu_mhz")
    load = _known(machine["load_average_before"])
    yield f"CPU: {_known(cpu['model'])}, {cores}, governor {governor}, {mhz}, load {load} before"
    if gpu is not None:
        sm, memory = (_before_and_after(before, after, key) for key in ("sm_clock_mhz", "memory_clock_mhz"))
        yield f"GPU: {gpu['name']} ({gpu['arch']}), driver for CUDA {gpu['driver_cuda']}, SM {sm}, memory {memory}"
    yield "versions: " + ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    images = settings["images"]
    yield f"images: {images[0] if len(images) == 1 else f'{len(images)} files, cycled'}"
    warm_ups = count_noun(settings["warm_up_runs"], "warm-up run")
    yield f"each: {settings['duration_s']:g} s after {warm_ups}; post-processing ends in {_MASKS[settings['masks']]}"


def _batch(row: Mapping[str, Any]) -> Iterator[str]:
    runs, images = count_noun(row["runs"], "run"), count_noun(row["images"], "image")
    yield f"batch {row['batch']}: {runs}, {images}, {row['mean_detections']:.1f} detections an image"
    yield f"{'':<16}{_HEADS}"
    for stage, latency in row["stages"].items():
        if latency is not None:
            yield _line(_TITLES[stage], latency)
    streamed = row["streamed"]
    flight = f"streamed, {streamed['in_flight']} batches in flight"
    yield f"{flight}: {streamed['images_per_s']:.3f} images/s of {count_noun(streamed['images'], 'image')}"
    if row["runs"] < FEW_RUNS:
        yield f"p99 of fewer than {FEW_RUNS} runs is nearly the slowest run; a longer --duration gives more runs"


def _by_batch(rows: list[dict[str, Any]]) -> Iterator[str]:
    yield f"end to end     {_HEADS}{'ms/image':>11}"
    for row in rows:
        latency = row["stages"]["end_to_end"]
        yield f"{_line('batch ' + str(row['batch']), latency)}{latency['mean_ms'] / row['batch']:>11.3f}"


def _by_detections(table: Mapping[str, Any], masks: str) -> Iterator[str]:
    size = f"{table['width_px']}x{table['height_px']}"
    yield f"boxes and {_MASKS[masks]} of one image, {size}, by detections kept of {table['found']} found"
    yield f"{'':<16}{_HEADS}"
    for row in table["counts"]:
        yield _line(count_noun(row["detections"], "detection"), row)
    if table["ms_per_detection"] is None:
        yield "the network found nothing in this image, so the cost of a detection is unknown; give another image"
    else:
        yield f"{table['ms_per_detection']:.4f} ms for each detection (least squares through the medians)"


def _fps(result: Mapping[str, Any]) -> Iterator[str]:
    fps = result["fps"]
    if fps["end_to_end"] is None:
        yield "FPS are counted at batch 1, which was not measured"
        return
    masks = _MASKS[result["settings"]["masks"]]
    yield f"FPS as the paper counts (engine to {masks}, no decoding or resizing): {fps['as_the_paper']:.2f}"
    yield f"FPS end to end (image file in memory to {masks}): {fps['end_to_end']:.2f}"


def _memory(memory: Mapping[str, Any]) -> Iterator[str]:
    yield f"peak host memory of the whole process: {_known(memory['peak_host_mib'], ' MiB')}"
    if "gpu_rise_mib" in memory:
        yield f"GPU memory taken since before the engine was opened: {memory['gpu_rise_mib']:.1f} MiB"


def _line(title: str, latency: Mapping[str, Any]) -> str:
    cells = (latency[column] for column in _COLUMNS)
    return f"{title:<16}" + "".join(f"{'-' if cell is None else f'{cell:.3f}':>11}" for cell in cells)


def _before_and_after(before: Mapping[str, Any], after: Mapping[str, Any], key: str) -> str:
    if before[key] == after[key]:
        return _known(before[key], " MHz")
    return f"{_known(before[key])} MHz before, {_known(after[key])} after"


def _known(value: object, unit: str = "") -> str:
    if value is None:
        return "unknown"
    return f"{value:g}{unit}" if isinstance(value, float) else f"{value}{unit}"
