"""A command whose --resume takes over the options of the run in --output, so that they need not be repeated."""

from __future__ import annotations

from pathlib import Path

import click

from yolact.cli.command import Command, reports_errors
from yolact.runtime.errors import CheckpointError
from yolact.training.run_record import STATE_FILE, RunRecord

_OWN = f"{__name__}.arguments"

_NOT_KEPT = ("resume", "output", "help", "version")

_NOT_READ = ("weights",)
"""Options that a run needs only at its beginning: their files may be gone by now, or need a download."""

_PATHS = ("data", "validation")
"""Options whose values are two paths with a comma between them, or no paths."""


class ResumableCommand(Command):
    """With --resume, the options of the run come first and those of the command line after them, so the latter win.

    The run decides which options may differ from its own.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As `Command`, for both together. A command line with a mistake is parsed alone, which reports the mistake."""
        try:
            given = self._values(ctx, args)
        except click.UsageError:
            return super().parse_args(ctx, args)
        if "resume" in given and not {"help", "version"} & given.keys():
            folder = next(Path(given.get(p.name or "", str(p.default))) for p in self.params if p.name == "output")
            given = reports_errors(self._with_own)(ctx, folder, given)
            args = [*self._words(_without(given, *_NOT_KEPT, *_NOT_READ)), *args]
        ctx.meta[_OWN] = tuple(self._words(_without(given, *_NOT_KEPT)))
        return super().parse_args(ctx, args)

    def _values(self, ctx: click.Context, args: list[str]) -> dict[str, str]:
        """The values on a command line by parameter, True or False for flags. Raises UsageError."""
        values, rest, _ = self.make_parser(ctx).parse_args(list(args))
        if rest:
            raise click.UsageError(f"unexpected {rest[0]}")
        return {name: str(value) for name, value in values.items()}

    def _words(self, values: dict[str, str]) -> list[str]:
        """The options with these values as words of a command line, in the order of --help."""
        words = []
        for parameter in self.params:
            if isinstance(parameter, click.Option) and parameter.name in values:
                value = values[parameter.name]
                names = parameter.secondary_opts if parameter.is_flag and value == str(False) else parameter.opts
                words += [names[0], *([] if parameter.is_flag else [value])]
        return words

    def _with_own(self, ctx: click.Context, folder: Path, given: dict[str, str]) -> dict[str, str]:
        """The values given, and for all other parameters those of the run in the folder.

        Raises CheckpointError where the run's record cannot be read and the values given are not enough for a run.
        """
        try:
            record = RunRecord.read(folder)
            own = self._own_values(ctx, record)
        except CheckpointError as error:
            required = [parameter.name for parameter in self.params if parameter.required]
            if all(name in given for name in required):
                return given
            if not (folder / STATE_FILE).is_file():
                state = folder / STATE_FILE
                raise CheckpointError(f"there is no {state} to resume from; start without --resume") from None
            raise CheckpointError(f"{error}; repeat the options of the run beside --resume") from None
        return own | given

    def _own_values(self, ctx: click.Context, record: RunRecord) -> dict[str, str]:
        """The values in a record. Raises CheckpointError where this command does not have its options."""
        try:
            values = self._values(ctx, list(record.arguments))
        except click.UsageError as error:
            raise CheckpointError(f"the record of the run has options that cannot be read ({error})") from None
        for name in _PATHS:
            if name in values:
                values[name] = ",".join(str(record.resolve(Path(part))) for part in values[name].split(","))
        return _without(values, *_NOT_KEPT)


def _without(values: dict[str, str], *names: str) -> dict[str, str]:
    return {name: value for name, value in values.items() if name not in names}


def own_arguments() -> tuple[str, ...]:
    """The options of the run that this command begins or resumes, without --output and --resume."""
    own: tuple[str, ...] = click.get_current_context().meta[_OWN]
    return own
