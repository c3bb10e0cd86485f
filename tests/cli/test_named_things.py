"""What messages, docstrings and pages name must exist: options, commands, files, modules, make targets and extras."""

from __future__ import annotations

import ast
import functools
import importlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from repository import ROOT

from yolact.cli.command import Command
from yolact.cli.main import COMMANDS

ROOMS = (
    "batch",
    "benchmarks",
    "calib",
    "cli",
    "diff",
    "engines",
    "examples",
    "export",
    "hub",
    "plugins",
    "runtime",
    "serving",
    "training",
    "yolact",
)
NATIVE = {".c", ".cpp", ".cu", ".cuh", ".h"}

OFFICIAL_EVAL = {
    *("trained_model", "top_k", "cuda", "fast_nms", "cross_class_nms", "display_masks", "display_bboxes"),
    *("display_text", "display_scores", "display", "shuffle", "ap_data_file", "resume", "max_images"),
    *("output_coco_json", "bbox_det_file", "mask_det_file", "config", "output_web_json", "web_det_path"),
    *("no_bar", "display_lincomb", "benchmark", "no_sort", "seed", "mask_proto_debug", "no_crop", "image", "images"),
    *("video", "video_multiframe", "score_threshold", "dataset", "detect", "display_fps", "emulate_playback"),
}
OFFICIAL_TRAIN = {
    *("batch_size", "resume", "start_iter", "num_workers", "cuda", "lr", "learning_rate", "momentum", "decay"),
    *("weight_decay", "gamma", "save_folder", "log_folder", "config", "save_interval", "validation_size"),
    *("validation_epoch", "keep_latest", "keep_latest_interval", "dataset", "no_log", "log_gpu"),
    *("no_interrupt", "batch_alloc", "no_autoscale"),
}
"""All options of the official scripts."""

OTHER_OPTIONS = {
    "a style sheet, of its own properties": set(
        re.findall(r"(--[a-z]+):", (ROOT / "training/pages/page.html").read_text(encoding="utf-8"))
    ),
    "cmake": {"--build", "--install", "--parallel", "--prefix"},
    "cuobjdump": {"--list-gpu-code"},
    "curl": {"--data-binary"},
    "docker": {"--shm-size"},
    "npm": {"--pack-destination", "--save-exact", "--silent"},
    "nvcc": {"--fmad"},
    "nvidia-smi": {"--format", "--help-query-gpu", "--id", "--query-gpu"},
    "pip": {"--no-deps"},
    "pkg-config": {"--cflags", "--libs"},
    "polygraphy": {
        *("--compare-func-script", "--data-loader-script", "--postprocess-func-script", "--model-type", "--trt"),
        *("--onnxrt", "--onnx-outputs", "--providers", "--load-outputs", "--save-outputs"),
    },
    "pytest": {"--continue-on-collection-errors", "--rootdir"},
    "Python's own configure": {"--enable-shared"},
    "Python's own modules": {"--bind", "--directory", "--system-site-packages"},
    "ray": {"--head", "--num-gpus", "--port"},
    "tensorboard": {"--logdir"},
    "the linker": {"--no-undefined"},
    "torchrun": {"--nnodes", "--nproc-per-node"},
    "tritonserver": {
        *("--backend-config", "--backend-directory", "--exit-on-error", "--exit-timeout-secs", "--model-control-mode"),
        *("--model-repository", "--grpc-address", "--grpc-port", "--http-address", "--http-port", "--metrics-address"),
        *("--load-model", "--metrics-port"),
    },
    "trtexec": {"--getPlanVersionOnly", "--staticPlugins"},
    "the official eval.py": {f"--{name}" for name in OFFICIAL_EVAL},
    "the official train.py": {f"--{name}" for name in OFFICIAL_TRAIN},
}
"""Options of other programs, by program."""

OFFICIAL_FILES = {
    *("backbone.py", "data/coco.py", "data/config.py", "eval.py", "train.py", "utils/augmentations.py", "yolact.py"),
    *("layers/box_utils.py", "layers/output_utils.py"),
    *("layers/functions/detection.py", "layers/modules/multibox_loss.py"),
}
"""Files of the official repository, which docstrings give as the source of a rule."""

FROM_ELSEWHERE = {
    "yolact-faults": "begins the name of a temporary file",
    "yolact-output": "the folder that yolact-infer writes to",
    "yolact-plugins": "begins the name of a temporary folder",
    "yolact-python.txt": "the file that says where libyolact finds Python",
    "yolact-service": "the example of a service in C",
    "yolact-triton": "also begins the name of a temporary folder",
    "yolact-x": "any command",
}


@functools.cache
def command_options() -> Mapping[str, set[str]]:
    """By the name of a command its options."""
    found = {}
    for name in COMMANDS:
        command: Command = importlib.import_module(f"yolact.cli.{name.replace('-', '_')}").main
        found[f"yolact-{name}"] = {"--help"}.union(
            *(parameter.opts + parameter.secondary_opts for parameter in command.params)
        )
    found["yolact"] = {"--help", "--version"}
    text = (ROOT / "examples/c_service/options.c").read_text(encoding="utf-8")
    found["yolact-service"] = {f"--{name}" for name in re.findall(r'\{"([\w-]+)", (?:required|no)_argument', text)}
    return found


@functools.cache
def all_options() -> set[str]:
    """Of all commands, benchmarks and other programs."""
    known = set().union(*command_options().values(), *OTHER_OPTIONS.values())
    for path in (*python_files(), ROOT / "tests/conftest.py", *(ROOT / "tests/mutations").glob("*.py")):
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in ("option", "add_argument", "addoption"):
                known.update(
                    word.value
                    for word in node.args
                    if isinstance(word, ast.Constant) and f"{word.value}".startswith("--")
                )
    return known


def renamed_options() -> set[str]:
    """Old names, which only the table of them may hold."""
    from yolact.cli.command import _RENAMED

    return {old for table in _RENAMED.values() for old in table} - set().union(*command_options().values())


@functools.cache
def python_files() -> tuple[Path, ...]:
    found = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]
    return (*found, ROOT / "setup.py")


@functools.cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@functools.cache
def source_texts() -> tuple[tuple[str, str], ...]:
    """Every string of the Python sources and every string and comment of the native ones, with its place.

    What an f-string puts in is left out, and its parts are one text.
    """
    found = []
    for path in python_files():
        inner = set()
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.JoinedStr):
                parts = [part for part in node.values if isinstance(part, ast.Constant)]
                inner.update(map(id, parts))
                found.append((f"{path}:{node.lineno}", "{}".join(str(part.value) for part in parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inner:
                found.append((f"{path}:{node.lineno}", node.value))
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*")):
            if path.suffix in NATIVE:
                text = re.sub(r'"\s*\n\s*"', "", path.read_text(encoding="utf-8"))
                found += [
                    (str(path), one) for one in re.findall(r'"(?:[^"\\\n]|\\.)*"|/\*.*?\*/|//[^\n]*', text, re.DOTALL)
                ]
    return tuple(found)


PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/**/*.md", "*/README.md", "*/*/README.md")
    for path in ROOT.glob(pattern)
    if not path.relative_to(ROOT).parts[0].startswith((".", "build"))
)


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@functools.cache
def texts() -> tuple[tuple[str, str], ...]:
    """Of the sources and the pages."""
    return (*source_texts(), *((name, page(name)) for name in PAGES))


def mentions(pattern: str) -> Iterator[tuple[str, str]]:
    """Place and what the pattern finds there."""
    for place, text in texts():
        for found in re.finditer(pattern, text):
            yield place, found[1]


def unknown(pattern: str, known: set[str]) -> list[tuple[str, str]]:
    return sorted({(place, name) for place, name in mentions(pattern) if name not in known})


def test_enough_is_looked_at() -> None:
    """The patterns find what they are for: else nothing below could fail."""
    assert len(source_texts()) > 5000 and len(PAGES) > 15
    assert len({name for _, name in mentions(OPTION)}) > 100
    assert {f"yolact-{name}" for name in COMMANDS} <= {name for _, name in mentions(COMMAND)}
    assert {"export", "eval", "train", "tensorrt"} <= {name for _, name in mentions(EXTRAS)}
    assert {"plugins", "test"} <= {name for _, name in mentions(TARGET)}
    assert len(list(mentions(PAGE))) > 10 and len(list(mentions(MODULE))) > 10 and len(list(mentions(PYTHON_FILE))) > 5


OPTION = r"(?<![\w-])(--[a-z][\w-]*\w)"


def test_options() -> None:
    in_table = {(place, name) for place, name in mentions(OPTION) if place.startswith(str(ROOT / "cli/command.py"))}
    found = set(unknown(OPTION, all_options())) - {one for one in in_table if one[1] in renamed_options()}
    assert not found


COMMAND = r"(?<![\w/.-])(yolact-[a-z][a-z-]*[a-z](?:\.txt)?)"


def test_commands() -> None:
    assert not unknown(COMMAND, {*command_options(), *FROM_ELSEWHERE})


CALL = re.compile(r"(?<![\w/.-])(yolact(?:-[a-z][a-z-]*[a-z])?) ([^\n`;|#()]*)")


def calls(text: str) -> Iterator[tuple[str, str]]:
    """Each command with each option on its line. Continued lines count as one, and `yolact x` as `yolact-x`."""
    for command, rest in CALL.findall(re.sub(r"\\\n\s*|\n(?=\s+(?:\[?--))", " ", text)):
        first, _, others = rest.partition(" ")
        if command == "yolact" and first in COMMANDS:
            command, rest = f"yolact-{first}", others
        if command in command_options():
            for option in re.findall(OPTION, rest):
                yield command, option


@pytest.mark.parametrize("name", PAGES)
def test_options_of_the_command_on_the_line(name: str) -> None:
    blocks = re.findall(r"^```.*?^```|`[^`\n]+`", page(name), re.DOTALL | re.MULTILINE)
    found = [call for block in blocks for call in calls(block)]
    assert not [(command, option) for command, option in found if option not in command_options()[command]]


def test_options_right_after_a_command() -> None:
    """In messages too: `yolact-build-plugins --arch sm_86`."""
    pattern = re.compile(r"(?<![\w/.-])(yolact-[a-z][a-z-]*[a-z]) (--[a-z][\w-]*)")
    found = [(place, *pair) for place, text in source_texts() for pair in pattern.findall(text)]
    assert len(found) > 5
    assert not [one for one in found if one[2] not in command_options()[one[1]]]


PAGE = r"(docs/[\w/-]+\.(?:md|png|svg))"


def test_pages() -> None:
    assert not [(place, name) for place, name in mentions(PAGE) if not (ROOT / name).is_file()]


PYTHON_FILE = r"(?<![\w/.*{}-])((?:[a-z_]+/)*[a-z_]+\.py)\b"


def test_python_files() -> None:
    paths = {path.relative_to(ROOT).as_posix() for room in (*ROOMS, "tests") for path in (ROOT / room).rglob("*.py")}
    known = {"setup.py", *OFFICIAL_FILES}
    for path in paths:
        parts = path.split("/")
        known |= {"/".join(parts[start:]) for start in range(len(parts))}
    assert not unknown(PYTHON_FILE, known)


MODULE = r"-m ((?:yolact|benchmarks)(?:\.[a-z_]+)*)(?!\w|\.[\w{])"


def test_modules_to_run() -> None:
    for place, name in mentions(MODULE):
        module = ROOT.joinpath(*name.removeprefix("yolact.").split("."))
        assert module.with_suffix(".py").is_file() or (module / "__main__.py").is_file(), (place, name)


TARGET = r"(?:`|\$ |run: )make ([a-z][a-z-]*)(?=[`\s]|$)"


def test_make_targets() -> None:
    lines = re.findall(r"^([a-z][a-z -]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    targets = {name for line in lines for name in line.split()}
    assert not unknown(TARGET, targets)


EXTRAS = r"(?:yolact|['\"]\.)\[(\w+(?:,\w+)*)\]"


@pytest.mark.parametrize("script, names", [("eval.py", OFFICIAL_EVAL), ("train.py", OFFICIAL_TRAIN)])
def test_the_page_for_people_from_the_official_code_has_every_option(script: str, names: set[str]) -> None:
    page = (ROOT / "docs" / "how-to" / "from_yolact.md").read_text(encoding="utf-8")
    section = page.partition(f"## {script}\n")[2].partition("\n## ")[0]
    first = [row.split(" | ")[0] for row in section.splitlines() if row.startswith("| `")]
    assert sorted(re.findall(r"`--(\w+)`", "".join(first))) == sorted(names)


def test_extras() -> None:
    section = (ROOT / "pyproject.toml").read_text(encoding="utf-8").partition("[project.optional-dependencies]")[2]
    extras = set(re.findall(r"^(\w+) = \[", section.partition("\n[")[0], re.MULTILINE))
    assert not [(place, one) for place, names in mentions(EXTRAS) for one in names.split(",") if one not in extras]
    assert not [(name, extra) for name, extra in asked_for() if extra not in extras]


def asked_for() -> list[tuple[str, str]]:
    """File and extra of the calls that lead to the line which installs it."""
    position = {"how_to_install": 0, "require_packages": 1, "PackageMissing": 2}
    found = []
    for path in (path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
            if name in position and isinstance(node, ast.Call):
                extra = node.args[position[name]]
                found += [(path.name, extra.value)] if isinstance(extra, ast.Constant) else []
    assert len(found) > 5
    return found
