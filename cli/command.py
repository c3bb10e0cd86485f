"""What every command shares: failures end in one line on stderr and an exit code, never in a traceback."""

from __future__ import annotations

import functools
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

import click
from tqdm import tqdm

from yolact.runtime.engine import DeviceChoice
from yolact.runtime.errors import UsageError, YolactError
from yolact.runtime.signals import handled

INTERRUPTED = 130
"""Exit code after Ctrl-C: 128 + SIGINT, as shells report it."""

TERMINATED = 143
"""Exit code after SIGTERM."""

_P = ParamSpec("_P")
_R = TypeVar("_R")


class Terminated(KeyboardInterrupt):
    """SIGTERM, which ends a command as Ctrl-C does: files are closed, temporary ones removed."""


def _terminate(*_: object) -> None:
    raise Terminated


def reports_errors(command: Callable[_P, _R]) -> Callable[_P, _R]:
    """Decorate the body of a click command (below its options).

    A `YolactError` becomes ``error: <message>`` and its `exit_code`; an error of the operating system the same with
    exit code 1; Ctrl-C ends with 130, SIGTERM with 143; a reader of stdout that went away ends
    the command silently with 1.
    """

    @functools.wraps(command)
    def guarded(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            with handled([signal.SIGTERM], _terminate):
                return command(*args, **kwargs)
        except YolactError as error:
            report(str(error))
            sys.exit(error.exit_code)
        except Terminated:
            click.echo("terminated", err=True)
            sys.exit(TERMINATED)
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            sys.exit(INTERRUPTED)
        except OSError as error:
            if not isinstance(error, BrokenPipeError):
                report(describe_os_error(error))
            _abandon_stdout()
            sys.exit(1)

    return guarded


def check_fraction(context: click.Context, parameter: click.Parameter, value: float) -> float:
    """Callback of options from 0 to 1."""
    if not 0 <= value <= 1:  # unlike click.FloatRange this refuses nan
        raise click.BadParameter(f"expected a number from 0 to 1, got {value}")
    return value


def running_options(command: Callable[_P, _R]) -> Callable[_P, _R]:
    """Give a click command that runs an engine file the options of `engine_files.open_engine`: --device, --metadata and
    --allow-host-code."""
    device = click.option(
        "--device",
        metavar="cpu|cuda|tensorrt",
        callback=_parse_device,
        help="Where it runs: cpu, cuda, cuda:1 or, for an ONNX file, tensorrt (ONNX Runtime's provider).  [default: a "
        "plan on cuda, else cpu]",
    )
    metadata = click.option(
        "--metadata",
        "metadata_file",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="For a plan that has lost its .json: the ONNX file it was built from.",
    )
    host_code = click.option(
        "--allow-host-code",
        is_flag=True,
        help="Let a plan run code that it carries, be it version compatible or with plugins inside.",
    )
    return device(metadata(host_code(command)))


def _parse_device(context: click.Context, parameter: click.Parameter, value: str | None) -> DeviceChoice | None:
    try:
        return None if value is None else DeviceChoice.parse(value)
    except UsageError as error:
        raise click.BadParameter(str(error)) from None


def report(message: str) -> None:
    """Print one failure on stderr."""
    click.echo(f"error: {click.format_filename(message)}", err=True)


def report_above_bar(message: str) -> None:
    """Print one failure on stderr, above the progress bar if there is one."""
    with tqdm.external_write_mode():
        report(message)


def print_above_bar(line: str) -> None:
    """Print one line of results on stdout, above the progress bar if there is one."""
    with tqdm.external_write_mode():
        click.echo(click.format_filename(line))


def describe_os_error(error: OSError) -> str:
    """The reason without errno, with the file's name where it is known."""
    reason = error.strerror or str(error)
    return reason if error.filename is None else f"{click.format_filename(error.filename)}: {reason}"


def _abandon_stdout() -> None:
    """Let the interpreter's last flush go nowhere: it would fail again, with a message nobody can prevent."""
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
    except (OSError, ValueError):  # stdout is closed or is no file
        pass
