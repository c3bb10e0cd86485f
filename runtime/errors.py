"""Errors that end in one sentence for the user, each with the exit code of the command that meets it.

A library raises these and never exits or prints; only the command lines turn them into text and exit codes.
"""

from __future__ import annotations


class YolactError(Exception):
    """Something the user can mend. The message says what was expected, what was got and what to do."""

    exit_code = 1


class UsageError(YolactError):
    """The request itself is wrong: an unknown option value, options that exclude each other."""

    exit_code = 2


class ImageError(YolactError):
    """A source that cannot be read as an image or video."""


class CheckpointError(YolactError):
    """A checkpoint that is no YOLACT, is damaged, or does not fit the configuration."""


class DatasetError(YolactError):
    """Annotations that contradict themselves or their images."""


class AccuracyError(YolactError):
    """An exported engine whose outputs differ from the reference by more than the stated bound."""

    exit_code = 3


class EngineError(YolactError):
    """An engine file that this runtime cannot run: another model, another contract, another version."""

    exit_code = 4
