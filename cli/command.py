"""The parts all commands share: help and version, and failures that end in one line on stderr and an exit code."""

from __future__ import annotations

import functools
import importlib
import logging
import os
import shutil
import signal
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, ParamSpec, TypeVar

import click
from click.exceptions import NoArgsIsHelpError

import yolact
from yolact.runtime.errors import YolactError
from yolact.runtime.packages import PackageMissing
from yolact.runtime.signals import handled
from yolact.runtime.wording import printable

INTERRUPTED = 130
"""Exit code after Ctrl-C: 128 + SIGINT, as shells report it."""

TERMINATED = 143
"""Exit code after SIGTERM."""

HELP = {"help_option_names": ["-h", "--help"]}
"""Context settings of every command."""

_RENAMED = {
    "yolact-build": {"--onnx": "--engine"},
    "yolact-diff": {"--count": "--limit"},
    "yolact-export": {
        "--top-k": "--nms-top-k",
        "--calib-count": "--calib-limit",
        "--int8-target": "--int8-platform",
    },
    "yolact-sensitivity": {
        "--onnx": "--engine",
        "--calib-count": "--calib-limit",
        "--distance-count": "--limit",
        "--int8-target": "--int8-platform",
    },
    "yolact-train": {"--out": "--output"},
}
"""By command, the former names of options, and their present names."""

_P = ParamSpec("_P")
_R = TypeVar("_R")

_ARGUMENTS = f"{__name__}.arguments"


class Terminated(KeyboardInterrupt):
    """SIGTERM, which ends a command as Ctrl-C does: files are closed, temporary ones removed."""


class Later(NamedTuple):
    """The value of an option that takes work to find, such as a download.

    It is found once the whole command line has been read, so that nobody waits before a mistake there is reported.

    Attributes:
        find: gives the value, from the values of all parameters by name.
    """

    find: Callable[[Mapping[str, Any]], Path]


class WrongUsage(click.UsageError):
    """A mistake on the command line that click found, reported as all other failures are."""

    @classmethod
    def of(cls, error: click.UsageError) -> click.UsageError:
        """The same mistake as a `WrongUsage`; the error of a call without arguments, which shows the help, is kept."""
        return error if isinstance(error, NoArgsIsHelpError) else cls(error.format_message(), error.ctx)

    def show(self, file: object = None) -> None:
        """Print it."""
        path = "" if self.ctx is None or self.message.endswith("?") else self.ctx.command_path  # did you mean ...?
        report(self.message.rstrip(".") + (path and f"; see {path} --help"))


class Command(click.Command):
    """A command of the toolkit. It never ends in a traceback.

    A `YolactError` becomes ``error: <message>`` and its `exit_code`; an error of the operating system the same with
    exit code 1; Ctrl-C ends with 130, SIGTERM with 143; a reader of stdout that went away ends the command silently
    with 1.
    """

    def __init__(self, name: str | None, **attributes: Any) -> None:
        super().__init__(name, context_settings=HELP | {"show_default": True}, **attributes)
        add_version_option(self)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse as click does; keep the arguments for `command_line`, and name the new option for an old name."""
        ctx.meta[_ARGUMENTS] = list(args)
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            new = _RENAMED.get(self.name or "", {}).get(error.option_name)
            if new is None:
                raise WrongUsage.of(error) from None
            raise WrongUsage(f"{error.option_name} is called {new} now", ctx) from None
        except click.UsageError as error:
            raise WrongUsage.of(error) from None

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command's function."""
        return reports_errors(self._invoke)(ctx)

    def _invoke(self, ctx: click.Context) -> Any:
        for name, value in ctx.params.items():
            if isinstance(value, Later):
                ctx.params[name] = value.find(ctx.params)
        return super().invoke(ctx)


def command(name: str) -> Callable[[Callable[..., Any]], Command]:
    """Decorate the function of a command, above its options. `name` is the name under which it is installed."""
    return click.command(name, cls=Command)


def add_version_option(command: click.Command) -> None:
    """Give a command the option --version."""
    click.version_option(yolact.__version__, prog_name="yolact")(command)


def command_line() -> tuple[str, ...]:
    """The running command and its arguments, the same whether it was called `yolact-x` or `yolact x`."""
    context = click.get_current_context()
    assert context.command.name is not None
    return (context.command.name, *context.meta[_ARGUMENTS])


def reports_errors(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Make a function end the program as commands end: see `Command`."""

    @functools.wraps(function)
    def guarded(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        _open_closed_streams()
        try:
            with handled([signal.SIGTERM], _terminate), _libraries_warn():
                return function(*args, **kwargs)
        except YolactError as error:
            report(*error.lines)
            sys.exit(error.exit_code)
        except (KeyboardInterrupt, RuntimeError) as error:
            # Python 3.10 and 3.11 raise a RuntimeError in the place of what comes while a class is made, in an import.
            interrupt = error.__cause__ if isinstance(error, RuntimeError) else error
            if not isinstance(interrupt, KeyboardInterrupt):
                raise
            terminated = isinstance(interrupt, Terminated)
            note("terminated" if terminated else "interrupted")
            sys.exit(TERMINATED if terminated else INTERRUPTED)
        except MemoryError:
            report("there is not enough memory for this; free some, or give smaller files, images or batches")
            sys.exit(1)
        except OSError as error:
            if not isinstance(error, BrokenPipeError):
                report(_describe_os_error(error))
            _abandon_stdout()
            sys.exit(1)

    return guarded


def _open_closed_streams() -> None:
    """Open streams that lead nowhere for a program that was started without stdout or stderr (``2>&-``).

    Otherwise the next opened file would get the number of the stream, and libraries would print into that file.
    """
    for number, (name, mode) in enumerate({"stdin": "r", "stdout": "w", "stderr": "w"}.items()):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the least number that is free, which this is
            os.set_inheritable(number, True)
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, mode, closefd=False))


class _Notes(logging.Handler):
    """Prints log messages of libraries like all other lines."""

    def emit(self, record: logging.LogRecord) -> None:
        warn(record.getMessage())


@contextmanager
def _libraries_warn() -> Iterator[None]:
    """Print the warnings of the toolkit's own modules, which never print themselves."""
    logger, handler = logging.getLogger("yolact"), _Notes(logging.WARNING)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def _terminate(*_: object) -> None:
    raise Terminated


def require_packages(purpose: str, extra: str, *packages: str) -> None:
    """Import packages. Raises PackageMissing where one is not installed."""
    for package in packages:
        try:
            importlib.import_module(package)
        except ModuleNotFoundError as error:
            raise PackageMissing(purpose, error.name, extra) from None


def say(line: str) -> None:
    """Print one line of results on stdout, above the progress bar if there is one."""
    _print(line, to_stderr=False)


def note(line: str) -> None:
    """Print one line about the run itself on stderr, above the progress bar if there is one."""
    _print(line, to_stderr=True)


def warn(line: str) -> None:
    """Print one line of a warning on stderr; an indented line belongs to the warning above it."""
    note(line if line.startswith(_INDENT) else f"warning: {line}")


def report(message: str, *details: str) -> None:
    """Print one failure on stderr, above the progress bar if there is one; details stand below it, a line each."""
    note(f"error: {message}")
    for line in details:
        note(line)


def _print(line: str, *, to_stderr: bool) -> None:
    """The one place where commands print: see `printable`."""
    from tqdm import tqdm  # it takes longer to load than all else that --help needs

    stream = sys.stderr if to_stderr else sys.stdout
    text = printable(line, getattr(stream, "encoding", None) or "utf-8")
    if to_stderr and text.startswith(_INDENT) and stream.isatty():
        text = _wrap(text)
    with tqdm.external_write_mode():
        print(text, file=stream, flush=True)


_INDENT = "  "
"""Beginning of the lines below an error or a warning, which are sentences."""


def _wrap(text: str) -> str:
    """A line of a list, wrapped to the terminal between words, with all lines but the first indented further."""
    return textwrap.fill(
        text,
        shutil.get_terminal_size().columns,
        subsequent_indent=" " * 6,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _describe_os_error(error: OSError) -> str:
    """The reason without errno, with the file's name where it is known."""
    reason = error.strerror or str(error)
    return reason if error.filename is None else f"{os.fsdecode(error.filename)}: {reason}"


def _abandon_stdout() -> None:
    """Let the interpreter's last flush go nowhere: it would fail again, with a message that cannot be prevented."""
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
    except (OSError, ValueError):  # stdout is closed or is no file
        pass
