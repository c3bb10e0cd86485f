"""The command `yolact`: every command of the toolkit under one name."""

from __future__ import annotations

import importlib
from difflib import get_close_matches

import click

from yolact.cli.command import HELP, WrongUsage, add_version_option

COMMANDS = {
    "export": "Turn a checkpoint into an ONNX file or a TensorRT plan.",
    "build": "Build a TensorRT plan from an ONNX file.",
    "infer": "Find instances in images, videos and streams.",
    "batch": "Find instances in many images, on many machines.",
    "bench": "Measure how fast an engine file is, stage by stage.",
    "doctor": "Say what this machine has, and whether a file runs on it.",
    "models": "List the models known by name, and what is cached.",
    "train": "Train a network on annotated images.",
    "eval": "Measure average precision on annotated images.",
    "explain": "Draw how the masks of an image come about.",
    "scenes": "Draw a synthetic dataset with exact annotations.",
    "triton": "Write a model repository for NVIDIA Triton.",
    "diff": "Show where two engines differ.",
    "sensitivity": "Rank modules or layers by their cost in INT8.",
    "build-plugins": "Compile the CUDA kernels and the TensorRT plugins.",
}
"""The commands in the order in which most people meet them; each is installed as `yolact-<name>` too. The lines fit a
terminal of 80 columns. They stand here so that listing the commands imports none of them."""


class _Commands(click.Group):
    """Loads a command when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"yolact.cli.{cmd_name.replace('-', '_')}").main
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            close = get_close_matches(name.removeprefix("yolact-"), COMMANDS, n=1)
            advice = f". Did you mean {close[0]}?" if close else ""
            raise WrongUsage(f"There is no command {name}{advice}", ctx)
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            raise WrongUsage.of(error) from None


@click.command(cls=_Commands, context_settings=HELP)
def main() -> None:
    """Train and deploy YOLACT and YOLACT++, real-time instance segmentation.

    `yolact COMMAND --help` lists the options of a command. `yolact export ...` and `yolact-export ...` are the same.
    """


add_version_option(main)
