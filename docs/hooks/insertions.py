"""Puts in the place of a comment `insert: NAME` on a line of its own what the sources say at the time of the build.

So the lists of commands, configurations and declarations cannot differ from the code, and nothing that is generated is
committed.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError

from benchmarks.markdown import table

MARKER = re.compile(r"^<!-- insert: (\S+) -->$", re.MULTILINE)


def on_page_markdown(markdown: str, config: MkDocsConfig, **_: object) -> str:
    """The page with everything inserted that it asks for."""
    root = Path(config.config_file_path).parent

    def insert(found: re.Match[str]) -> str:
        if found[1] not in INSERTIONS:
            raise PluginError(
                f"nothing is called {found[1]} that a page could insert; there is {', '.join(INSERTIONS)}"
            )
        return "\n".join(INSERTIONS[found[1]](root))

    return MARKER.sub(insert, markdown)


def cell(text: str) -> str:
    """Text in a table's cell, in which no character means anything."""
    return re.sub(r"([\\*_<>\[\]])", r"\\\1", " ".join(text.split()))


def commands(_: Path) -> Iterator[str]:
    """Every command with its help, arguments and options."""
    from yolact.cli.main import COMMANDS

    for name, purpose in COMMANDS.items():
        command: click.Command = importlib.import_module(f"yolact.cli.{name.replace('-', '_')}").main
        context = click.Context(command, info_name=f"yolact-{name}", **command.context_settings)
        usage = " ".join(["yolact-" + name, *command.collect_usage_pieces(context)])
        records = [found for one in command.get_params(context) if (found := one.get_help_record(context))]
        first, *rest = inspect.cleandoc(command.help or "").split("\n\n")
        yield from (f"## yolact-{name}", "", purpose, "", "```text", usage, "```", "")
        for paragraph in (first, *rest):
            yield from (re.sub(r"([<>*_])", r"\\\1", paragraph), "")
        yield from ("", table(("option", ""), ((f"`{call}`", cell(text)) for call, text in records)), "")


def configurations(_: Path) -> Iterator[str]:
    """The networks that are known by name."""
    from yolact.training.models.configs import CONFIGS

    head = ("configuration", "backbone", "input", "classes", "priors", "prototypes", "channels", "YOLACT++")
    rows = [
        (
            f"`{config.name}`",
            config.backbone,
            str(config.image_size),
            str(config.num_classes),
            f"{config.num_priors:,}",
            f"{config.num_coefficients} of {config.prototype_size} x {config.prototype_size}",
            str(config.fpn_channels),
            "yes" if config.mask_rescoring else "",
        )
        for config in CONFIGS.values()
    ]
    yield from ("", table(head, rows), "")


def header(root: Path) -> Iterator[str]:
    """yolact.h: its introduction, and each declaration below its comment."""
    text = (root / "runtime/capi/yolact.h").read_text(encoding="utf-8")
    introduction, _, declarations = text.partition("*/")
    yield from prose(introduction.partition("\n")[2].replace(" *   ", " * "))
    for section in re.split(r"^/\* ---- ", declarations.partition("/* ---- ")[2], flags=re.MULTILINE):
        title, _, body = section.partition(" ---- */")
        yield from (f"## {title}", "")
        for block in body.partition("#ifdef __cplusplus")[0].strip().split("\n\n"):
            comment, code = re.fullmatch(r"(/\*.*?\*/\n)?(.*)", block, re.DOTALL).groups(default="")
            yield from prose(comment.removeprefix("/* ").replace("*/", ""))
            yield from ("```c", code.replace("YOLACT_API ", "").replace("YOLACT_API\n", ""), "```", "")


def prose(comment: str) -> Iterator[str]:
    """A comment of C as Markdown: its lone capitalised words are headings, its indented lines are code."""
    lines = [re.sub(r"^ ?\* ?", "", line).rstrip() for line in comment.splitlines()]
    fenced = False
    for line, after in zip(lines, [*lines[1:], ""][: len(lines)], strict=True):
        if line.startswith("  ") != fenced and (line or not after.startswith("  ")):
            yield from ("```", "") if fenced else ("", "```c")
            fenced = not fenced
        if re.fullmatch(r"[A-Z]\w+", line):
            yield f"## {line}"
        else:
            yield line if fenced else re.sub(r"\b(?:yolact|YOLACT)_\w+(?:\(\))?", r"`\g<0>`", line.replace("<", "&lt;"))
    yield from ("```", "") if fenced else ("",)


INSERTIONS: dict[str, Callable[[Path], Iterator[str]]] = {
    "commands": commands,
    "configurations": configurations,
    "header": header,
}
