"""Values that are a file or the name of a repository on Hugging Face, for --weights and --engine."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from yolact.cli.command import Later, note
from yolact.runtime.errors import UsageError
from yolact.runtime.model_names import Repository, file_or_repository, is_checkpoint


class _Named(click.ParamType, ABC):  # type: ignore[type-arg]
    """A file, which may be missing, or a repository, whose file takes its place before the command begins."""

    name = "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """A path, or the `Later` that finds one. Fails where the text is neither a path nor a repository."""
        if isinstance(value, (Path, Later)):
            return value
        try:
            source = file_or_repository(str(value))
        except UsageError as error:
            self.fail(str(error), param, ctx)
        return self.later(source)

    @abstractmethod
    def later(self, source: Path | Repository) -> Path | Later:
        """The path of a file, existing or missing; `Later` for a value that takes work to find."""


class _Weights(_Named):
    def later(self, source: Path | Repository) -> Path | Later:
        if isinstance(source, Path):
            return source

        def find(_: Mapping[str, Any]) -> Path:
            from yolact.hub.opening import weights_file

            return weights_file(source, note)

        return Later(find)


class _Engine(_Named):
    """An engine file, which must exist as for `EXISTING_FILE`, or a checkpoint, which is exported to one."""

    def __init__(self, *, only_onnx: bool = False) -> None:
        self._only_onnx = only_onnx

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """As for weights; fails for a file that is missing, and for a folder, too."""
        found = super().convert(value, param, ctx)
        if isinstance(found, Path):
            return _EXISTING.convert(found, param, ctx)
        return found

    def later(self, source: Path | Repository) -> Path | Later:
        if isinstance(source, Path) and not (is_checkpoint(source) and source.is_file()):
            return source

        def find(values: Mapping[str, Any]) -> Path:
            from yolact.hub.opening import engine_file

            return engine_file(source, values.get("device"), note, only_onnx=self._only_onnx)

        return Later(find)


_EXISTING = click.Path(exists=True, dir_okay=False, path_type=Path)

WEIGHTS = _Weights()
"""A checkpoint, or a repository whose weights are downloaded."""

ENGINE = _Engine()
"""An engine file, or a checkpoint or repository that is exported to one."""

ONNX_ENGINE = _Engine(only_onnx=True)
"""The same for commands that cannot use a plan."""
