"""The shared parts of the command lines of benchmarks: a list of benchmarks by name, and the option `--json`."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path

import click

from yolact.runtime.errors import YolactError
from yolact.runtime.output_files import check_output


class Room(click.Group):
    """The benchmarks of a room by name. Each is imported when it is called, so a list of them costs nothing."""

    def __init__(self, modules: Mapping[str, tuple[str, str]], help: str, epilog: str | None = None) -> None:
        """`modules`: for the name of each benchmark the module whose `main` is its command, and a line about it."""
        super().__init__(help=help, epilog=epilog)
        self.modules = modules

    def list_commands(self, context: click.Context) -> list[str]:
        """The names of the benchmarks in the order of the room."""
        return list(self.modules)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """The command of a benchmark, None for an unknown name."""
        if name not in self.modules:
            return None
        command: click.Command = importlib.import_module(self.modules[name][0]).main
        return command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list without importing the benchmarks on it."""
        with formatter.section("Benchmarks"):
            formatter.write_dl([(name, line) for name, (_, line) in self.modules.items()])


def _check_json(context: click.Context, parameter: click.Parameter, path: Path | None) -> Path | None:
    """Refuse a file that cannot be written before anything is measured."""
    try:
        if path is not None:
            check_output("--json", path, ())
    except YolactError as error:
        raise click.UsageError(str(error), context) from error
    return path


json_option = click.option(
    "--json",
    "json_path",
    metavar="FILE",
    type=click.Path(path_type=Path),
    callback=_check_json,
    help="Write the figures here.",
)
"""The option `--json` of every benchmark; the command's parameter is `json_path`."""
