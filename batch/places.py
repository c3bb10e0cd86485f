"""Files and folders by a path or a URI, in every file system that pyarrow or fsspec knows."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from yolact.runtime.errors import UsageError, YolactError
from yolact.runtime.images.download import without_credentials
from yolact.runtime.output_files import check_output_folder
from yolact.runtime.packages import PackageMissing
from yolact.runtime.partial_file import PartialFile
from yolact.runtime.wording import one_line

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

_Answer = TypeVar("_Answer")

_IN_ONE_PROCESS = "memory"
"""The file system of fsspec that exists only inside one process, so no worker can see it."""


class Entry(NamedTuple):
    """A file of a listing.

    Attributes:
        path: in its file system.
        size: in bytes.
        mtime: time of the last change in nanoseconds since 1970; 0 where the file system does not tell.
    """

    path: str
    size: int
    mtime: int


@dataclass(frozen=True)
class Place:
    """A file or folder in a file system. It can be pickled, and opens its file system again elsewhere.

    Attributes:
        name: its name for people, without passwords.
        filesystem: of pyarrow.
        path: in that file system.
        prefix: begins the name of a path there for people: ``s3://``, or nothing on this machine.
    """

    name: str
    filesystem: FileSystem
    path: str
    prefix: str

    @property
    def is_local(self) -> bool:
        """Whether it is a path of the operating system."""
        return self.filesystem.type_name == "local"

    def at(self, path: str) -> Place:
        """Another path of the same file system."""
        return Place(self.prefix + path, self.filesystem, path, self.prefix)

    def __truediv__(self, name: str) -> Place:
        return self.at(f"{self.path.rstrip('/')}/{name}")

    def kind(self) -> str:
        """``file``, ``folder``, or empty where nothing exists. Raises YolactError where that cannot be found out."""
        from pyarrow.fs import FileType

        found = self._asking(lambda: self.filesystem.get_file_info([self.path])[0].type)
        return {FileType.File: "file", FileType.Directory: "folder"}.get(found, "")

    def entries(self, *, deep: bool = False) -> list[Entry]:
        """Files of a folder by their paths, with ``deep`` also those in folders below; empty where there is no folder.

        Raises YolactError where the folder cannot be listed.
        """
        from pyarrow.fs import FileSelector

        selector = FileSelector(self.path, recursive=deep, allow_not_found=True)
        return sorted(self._asking(lambda: _files(self.filesystem.get_file_info(selector))))

    def describe(self, paths: Sequence[str]) -> list[Entry]:
        """Each path with its size, -1 where there is no file. Raises YolactError where that cannot be found out."""
        known = {entry.path: entry for entry in self._asking(lambda: _files(self.filesystem.get_file_info([*paths])))}
        return [known.get(path) or Entry(path, -1, 0) for path in paths]

    def read(self) -> bytes:
        """The whole file. Raises OSError."""
        with self.filesystem.open_input_file(self.path) as file:
            return bytes(file.read())

    def write(self, data: bytes) -> None:
        """Write a whole file. On this machine it appears whole or not at all; elsewhere the file system decides that.

        Object stores show a file once it is complete. Raises OSError.
        """
        if self.is_local:
            with PartialFile(Path(self.path)) as partial:
                partial.path.write_bytes(data)
                partial.commit()
            return
        with self.filesystem.open_output_stream(self.path) as file:
            file.write(data)

    def remove(self) -> None:
        """Delete a file, if it is there. Raises YolactError where that fails."""
        self._asking(self._remove)

    def _remove(self) -> None:
        with suppress(FileNotFoundError):
            self.filesystem.delete_file(self.path)

    def make_folder(self) -> None:
        """Create the folder and those above it. Raises YolactError where that fails or it cannot be written to."""
        if self.is_local:
            check_output_folder("--output", Path(self.path))
            return
        self._asking(lambda: self.filesystem.create_dir(self.path, recursive=True))

    def _asking(self, ask: Callable[[], _Answer]) -> _Answer:
        """The answer of the file system. Raises YolactError with its reason."""
        try:
            return ask()
        except UnicodeDecodeError as error:
            name = os.fsdecode(error.object)
            raise YolactError(f"{name}: its name is no UTF-8, which Parquet files need; rename the file") from None
        except (OSError, ValueError) as error:
            raise YolactError(f"{self.name}: {one_line(error)}; check the address and your access rights") from None


def open_place(uri: str) -> Place:
    """The place that a path or a URI names, whether it exists or not.

    pyarrow is asked first (``file``, ``s3``, ``gs``, ``abfs``, ``hdfs``), then fsspec.

    Raises:
        UsageError: neither understands the URI, or fsspec lacks the package for it.
        PackageMissing: pyarrow or fsspec is not installed.
    """
    try:
        from pyarrow.fs import FileSystem, LocalFileSystem
    except ModuleNotFoundError as error:
        raise PackageMissing("yolact-batch", error.name, "ray") from None
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)(::|://)", uri)
    if scheme is None:
        path = os.path.abspath(os.path.expanduser(uri))  # noqa: PTH100, PTH111  a pattern is no Path
        return Place(path, LocalFileSystem(), path.replace(os.sep, "/"), "")
    name, _ = without_credentials(uri)
    try:
        filesystem, path = FileSystem.from_uri(uri.replace(" ", "%20"))
    except (OSError, ValueError, NotImplementedError) as error:
        if scheme[2] == "::" or isinstance(error, NotImplementedError) or "Unrecognized filesystem" in str(error):
            return _by_fsspec(uri, name, scheme[1])
        raise UsageError(f"{name}: {one_line(error)}; expected a path or the URI of a file system") from None
    is_local = filesystem.type_name == "local"
    prefix = "" if is_local else f"{scheme[1].lower()}://"
    return Place(prefix + path, filesystem, path, prefix)


def _by_fsspec(uri: str, name: str, scheme: str) -> Place:
    try:
        from fsspec.core import url_to_fs
        from pyarrow.fs import FSSpecHandler, PyFileSystem
    except ModuleNotFoundError as error:
        raise PackageMissing("yolact-batch", error.name, "ray") from None
    try:
        filesystem, path = url_to_fs(uri)
    except ImportError as error:
        raise UsageError(f"{name}: reading {scheme} needs another package: {one_line(error)}") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{name}: expected a path or the URI of a file system ({one_line(error)})") from None
    if filesystem.protocol == _IN_ONE_PROCESS:
        raise UsageError(
            f"{name}: this file system exists in one process only, but workers are other processes; use a file"
        )
    return Place(name, PyFileSystem(FSSpecHandler(filesystem)), path, f"{scheme.lower()}://")


def _files(infos: Sequence[Any]) -> list[Entry]:
    from pyarrow.fs import FileType

    return [Entry(info.path, info.size, info.mtime_ns or 0) for info in infos if info.type == FileType.File]
