"""`README.md` in the folder of a run: its command, its progress, and the next command."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from yolact.runtime.wording import printable
from yolact.training.run_record import BEST_FILE, RunRecord, Validation
from yolact.training.story.curves import CURVES_FILE
from yolact.training.story.metrics_table import METRICS_FILE
from yolact.training.story.pace import duration
from yolact.training.story.samples import SAMPLE_FOLDERS
from yolact.training.train_request import TrainRequest

MARK = "<!-- written by yolact-train, which replaces this file -->"
"""The first line, by which the page of a run is told from anybody's own."""

SCENES_FOLDER = "validation-scenes"
"""Folder of the scenes that a run is validated on, where these are no files yet."""

_SHOWN = 10
"""Validations in the table, the last ones and the best."""


def write_page(request: TrainRequest, record: RunRecord, iteration: int, finished: bool) -> str:
    """The page in Markdown."""
    total = request.settings.iterations
    state = "ended at" if finished else "has reached"
    lines = [
        MARK,
        f"# {request.config.name}, a run of yolact-train",
        "",
        f"It {state} iteration {iteration:,} of {total:,}, after {duration(record.seconds)} of training. "
        + best_so_far(request, record),
        "",
        _block(command_of(request)),
        "",
        f"Started in `{_code(record.directory)}`.",
        "",
        "| | |",
        "|---|---|",
        *(f"| {title} | {_cell(told)} |" for title, told in record.facts),
        "",
        f"![losses, average precision and learning rate]({CURVES_FILE})",
        "",
        *_validations(record),
        "## Next",
        "",
        _block("\n".join(next_commands(request, record, finished))),
        "",
        "## Files",
        "",
        "| | |",
        "|---|---|",
        *(f"| `{name}` | {told} |" for name, told in _files(request).items()),
        "",
    ]
    return "\n".join(lines)


def command_of(request: TrainRequest) -> str:
    """The command that made the run, as it is typed."""
    return shlex.join((*request.program, *request.arguments, "--output", str(request.output)))


def best_so_far(request: TrainRequest, record: RunRecord) -> str:
    """A sentence about the best validation."""
    best = record.best
    if request.validation is None:
        return "It has no validation data (`--val`), so its accuracy is unknown."
    if best is None:
        return "No average precision has been measured yet."
    return f"Best mask AP: {percent(best.mask_ap)} at iteration {best.iteration:,}, in `best.pth`."


def next_commands(request: TrainRequest, record: RunRecord, finished: bool) -> list[str]:
    """Commands to run next, a line each."""
    output, resume = shlex.quote(str(request.output)), f"{shlex.join(request.program)} --resume"
    if not finished:
        return [f"{resume} --output {output}"]
    weights = shlex.quote(str(best_weights(request, record)))
    lines = [f"yolact-export --weights {weights} --output {output}/yolact.onnx"]
    spec = request.specs.get("validation")
    if spec is not None:
        folder = request.output / SCENES_FOLDER
        annotations, images = (
            (folder / "annotations.json", folder / "images") if spec.scenes else (spec.annotations, spec.images)
        )
        paths = [shlex.quote(str(path)) for path in (annotations, images)]
        command = f"yolact-eval --weights {weights} --annotations {paths[0]} --images {paths[1]}"
        lines.append(shlex.join([*shlex.split(command), *_measured_as(request.arguments)]))
    further = f"--iterations {2 * request.settings.iterations}"
    if request.patience is not None and record.without_progress >= request.patience:
        further = f"--patience {2 * request.patience}"
    return [*lines, f"{resume} --output {output} {further}"]


def _measured_as(arguments: Sequence[str]) -> list[str]:
    """The options that average precision depends on, which `yolact-eval` has as well."""
    words = []
    for option, value in zip(arguments, (*arguments[1:], ""), strict=True):
        if option in ("--exif", "--max-detections"):
            words += [option, value]
        elif option in ("--by-name", "--by-id"):
            words.append(option)
    return words


def best_weights(request: TrainRequest, record: RunRecord) -> Path:
    """The checkpoint to take of a finished run: the best one, else the last."""
    if record.best is not None:
        return request.output / BEST_FILE
    last = request.output.glob(f"{request.config.name}_*_{request.settings.iterations}.pth")
    return next(last, request.output / f"{request.config.name}_*.pth")


def percent(fraction: float | None) -> str:
    """An average precision as tables have it."""
    return "-" if fraction is None else f"{100 * fraction:.2f}"


def _validations(record: RunRecord) -> list[str]:
    if not record.validations:
        return []
    shown = [*record.validations[-_SHOWN:]]
    if record.best is not None and record.best not in shown:
        shown.insert(0, record.best)
    head = ["| iteration | box AP | mask AP |", "|---|---|---|"]
    return [*head, *(_row(one, one == record.best) for one in shown), ""]


def _row(one: Validation, best: bool) -> str:
    bold = "**" if best else ""
    return f"| {one.iteration:,} | {percent(one.box_ap)} | {bold}{percent(one.mask_ap)}{bold} |"


def _files(request: TrainRequest) -> dict[str, str]:
    name = request.config.name
    folder = SAMPLE_FOLDERS[request.validation is None]
    files = {
        f"{name}_<epoch>_<iteration>.pth": f"weights every {request.save_every:,} iterations, each with its `.json`",
        "best.pth": "those with the highest mask AP on the validation data",
        METRICS_FILE: "losses, learning rate, speed and average precision by iteration",
        CURVES_FILE: "the same as curves",
        f"{folder}/": "ground truth and prediction of the same images over time",
        "state.pth": "the state that `--resume` goes on from",
        "run.json": "the options of the run and its validations",
        "events.out.tfevents.*": "for TensorBoard",
    }
    if request.validation is None:
        del files["best.pth"]
    return files


def _block(text: str) -> str:
    return f"```console\n{printable_lines(text)}\n```"


def printable_lines(text: str) -> str:
    """Text whose lines are printable, and end no block of code."""
    return "\n".join("$ " + printable(line).replace("```", "'''") for line in text.split("\n"))


def _cell(text: str) -> str:
    escaped = printable(text).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
    return escaped.replace("`", "\\`").replace("*", "\\*").replace("_", "\\_")


def _code(text: str) -> str:
    return printable(text).replace("`", "'")
