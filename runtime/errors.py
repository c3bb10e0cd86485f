"""Errors that end in one sentence for the user, each with the exit code of the command that meets it.

A library raises these and never exits or prints; only the command lines turn them into text and exit codes.
"""

from __future__ import annotations


class YolactError(Exception):
    """An error that the user can mend. The message says what was expected, what was got and what to do."""

    exit_code = 1

    @property
    def lines(self) -> tuple[str, ...]:
        """The message as a terminal shows it: the first line and what is below it."""
        return (str(self),)


class UsageError(YolactError):
    """The request itself is wrong: an unknown option value, options that exclude each other."""

    exit_code = 2


class ImageError(YolactError):
    """A source that cannot be read as an image or video."""


class ImageMemoryError(ImageError, MemoryError):
    """There is not enough memory for an image, which may be intact."""


class CheckpointError(YolactError):
    """A checkpoint that is no YOLACT, is damaged, or does not fit the configuration."""


class DatasetError(YolactError):
    """Annotations that contradict themselves or their images. The message may be followed by a list of `faults`."""

    def __init__(self, message: str, faults: tuple[str, ...] = (), remark: str = "") -> None:
        """``remark``, if there is one, stands below the faults."""
        super().__init__(message, faults, remark)

    def __str__(self) -> str:
        message, faults, remark = self.args
        told = [f"({number}) {fault}" for number, fault in enumerate(faults, 1)] + [remark] * bool(remark)
        return f"{message}: {'; '.join(told)}" if told else message

    @property
    def lines(self) -> tuple[str, ...]:
        message, faults, remark = self.args
        if not faults:
            return (str(self),)
        told = [f"{number:>4}. {fault}" for number, fault in enumerate(faults, 1)]
        return (f"{message}:", *told, *[f"      {remark}"] * bool(remark))


class AccuracyError(YolactError):
    """An exported engine whose outputs differ from the reference by more than the stated bound."""

    exit_code = 3


class EngineError(YolactError):
    """An engine file that this runtime cannot run: another model, another contract, another version."""

    exit_code = 4
