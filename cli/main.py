"""The command `yolact`: every command of the toolkit under one name."""

from __future__ import annotations

import importlib

import click

from yolact import __version__

COMMANDS = (
    "export",
    "build",
    "infer",
    "bench",
    "doctor",
    "train",
    "eval",
    "explain",
    "scenes",
    "diff",
    "sensitivity",
    "build-plugins",
)
"""In the order in which most people meet them; each is `yolact-<name>` as well."""


class _Commands(click.Group):
    """Loads a command when it is asked for."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"yolact.cli.{name.replace('-', '_')}").main
        return command


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="yolact")
def main() -> None:
    """Train and deploy YOLACT and YOLACT++, real-time instance segmentation.

    `yolact COMMAND --help` says what a command takes. `yolact export ...` and `yolact-export ...` are the same.
    """
