"""Reads files of PyTorch and safetensors without trust: numbers in them never decide how much memory is taken.

Limits, all checked before memory is taken or arithmetic done:

- a file of the zip format has one list of parts, stored as they are, never compressed, and no larger than the file;
- a file of the older format announces no more bytes of tensors than the file has;
- a tensor lies on the CPU and is dense;
- all tensors together have no more than `MAX_REUSE` times the bytes of the file, or `MAX_SMALL` bytes where that is
  more: tensors may share storage, or repeat it by strides of 0, but not so as to fill the memory;
- values are floating point of 16 to 64 bits, whole numbers or truth values, no complex or quantised ones;
- there are no more than `MAX_TENSORS` tensors, and what surrounds them is nested no deeper than `MAX_DEPTH` levels.

The results are plain objects: a file may set attributes of its own on others, such as methods.
"""

from __future__ import annotations

import pickle
import re
import stat
import warnings
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor, nn

from yolact.runtime.errors import CheckpointError
from yolact.runtime.packages import PackageMissing
from yolact.runtime.wording import one_line, printable
from yolact.training.models.foreign_files import HEAD_SIZE, kind_by_beginning, kind_by_parts

MAX_REUSE = 4
MAX_SMALL = 512 << 20
MAX_DEPTH = 32
MAX_TENSORS = 50_000

MAX_SHOWN = 200
"""Most characters of a name from a file that are shown."""

_LEGACY_PICKLES = 5
"""Pickles of the older format: a magic number, the protocol, the system, the content, and the names of storages."""

_TYPES = frozenset(
    {torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.uint8}
    | {torch.bool, torch.int8, torch.int16, torch.int32, torch.int64}
)

_END, _LONG_END = 22, 22 + 20 + 56
"""Bytes of a zip file's end, and of that of a large one, which its place and 64-bit numbers precede."""

_IN_LONG_END = 0xFFFFFFFF
"""Stands for a number that is only in the long form."""

MAX_SAFETENSORS_HEADER = 100_000_000
"""Most bytes of the header, the limit of the format."""

_AGAIN = "save it again with torch.save(model.state_dict(), path)"


def read_checkpoint_file(path: Path) -> Any:
    """The contents of a file of `torch.save`: tensors on the CPU, numbers, texts, lists, dictionaries; or the tensors
    by name in a file of safetensors, whatever the file is called.

    Raises CheckpointError where the file is missing, damaged, contains code, goes beyond a limit or is something else,
    and PackageMissing where it is a file of safetensors and that package is not installed.
    """
    try:
        status = path.stat()
        if stat.S_IFMT(status.st_mode) not in (stat.S_IFREG, stat.S_IFDIR):
            raise CheckpointError(f"{path} is no file, expected a checkpoint; give the path of the file itself")
        size = status.st_size
        with path.open("rb") as file:
            head = file.read(HEAD_SIZE)
            if kind := kind_by_beginning(head):
                raise CheckpointError(f"{path} is {kind}")
            if _is_of_safetensors(head):
                content = _load_safetensors(path)
            else:
                _check_storages(file, size, str(path))
                content = _load(file, str(path))
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}; check the path") from None
    return _Plain(path, size).copy(content, "", MAX_DEPTH)


def shown(key: object) -> str:
    """A key of a dictionary in a file as one line that is not too long: names of tensors are as they were."""
    if isinstance(key, str):
        if len(key) <= MAX_SHOWN and key.isprintable():
            return key
        return printable(key[:MAX_SHOWN]) + ("..." if len(key) > MAX_SHOWN else "")
    return str(key) if isinstance(key, int) and abs(key) < 1 << 64 else "..."


def _load(file: BinaryIO, source: str) -> Any:
    file.seek(0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about formats that end in one of the errors below
            return torch.load(file, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # torch.load raises exceptions of any kind: KeyError, struct.error, RecursionError
        code = re.search(r"GLOBAL (\S+)", str(error)) if isinstance(error, pickle.UnpicklingError) else None
        if code is not None:
            raise CheckpointError(
                f"{source} contains code ({shown(code[1])}), not only tensors, and was refused; {_AGAIN}"
            ) from None
        raise _damaged(source) from None


def _is_of_safetensors(head: bytes) -> bool:
    """Whether a file is of safetensors: it begins with the length of a JSON text, in 8 bytes, and the text."""
    return head[8:9] == b"{" and 2 <= int.from_bytes(head[:8], "little") <= MAX_SAFETENSORS_HEADER


def _load_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError:
        raise PackageMissing(f"{path}, a file of safetensors,", "that package", "export") from None
    try:
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
            _check_count(len(names), str(path))
            return {name: file.get_tensor(name) for name in names}
    except (SafetensorError, AttributeError, KeyError, TypeError, ValueError) as error:  # a type that PyTorch has not
        reason = shown(one_line(error))
        raise CheckpointError(
            f"{path} is a damaged file of safetensors ({reason}); download or copy it again"
        ) from None


def _check_count(tensors: int, source: str) -> None:
    if tensors > MAX_TENSORS:
        raise CheckpointError(f"{source} has {tensors} tensors, expected at most {MAX_TENSORS}; {_AGAIN}")


def _damaged(source: str) -> CheckpointError:
    return CheckpointError(f"{source} is not a PyTorch checkpoint or is truncated; download or copy it again")


def _check_storages(file: BinaryIO, size: int, source: str) -> None:
    """Raise CheckpointError where loading would take more memory for storages than the file has bytes."""
    file.seek(0)
    try:
        if file.read(4) == b"PK\x03\x04":  # how torch.load tells the formats apart
            with zipfile.ZipFile(file) as archive:
                parts = archive.infolist()
                if kind := kind_by_parts([part.filename for part in parts]):
                    raise CheckpointError(f"{source} is {kind}")
                _check_directory(file, size, archive.start_dir)
            if any(part.compress_type != zipfile.ZIP_STORED for part in parts):
                raise CheckpointError(f"{source} has compressed parts, which torch.save never writes; {_AGAIN}")
            _check_count(len(parts), source)
            announced = sum(part.file_size for part in parts)
        else:
            file.seek(0)
            announced = _legacy_bytes(file)
    except (CheckpointError, OSError):
        raise
    except Exception:  # pickle raises exceptions of any kind for damaged files
        raise _damaged(source) from None
    if announced > size:
        raise CheckpointError(f"{source} announces {announced} bytes of tensors and has {size}; copy it again")


def _check_directory(file: BinaryIO, size: int, start: int) -> None:
    """Raise BadZipFile unless the list of a zip file's parts can only begin at `start`.

    Its beginning is stored up to twice, and readers differ in which number they believe and in whether they search
    where it says: Python might read another list than PyTorch.
    """
    file.seek(max(size - _LONG_END, 0))
    tail = file.read()
    end = tail[-_END:]
    starts = {int.from_bytes(end[16:20], "little")}
    if tail[-_END - 20 : -_END].startswith(b"PK\x06\x07"):
        if int.from_bytes(tail[-_END - 12 : -_END - 4], "little") != size - _LONG_END:
            raise zipfile.BadZipFile
        starts = starts - {_IN_LONG_END} | {int.from_bytes(tail[48:56], "little")}
    if not end.startswith(b"PK\x05\x06") or starts != {start}:
        raise zipfile.BadZipFile


def _legacy_bytes(file: BinaryIO) -> int:
    """Bytes of the storages that a file of the older format announces. Nothing that is named in it is imported."""
    storages: dict[Any, int] = {}
    for _ in range(_LEGACY_PICKLES - 1):  # the last only names the storages again
        _Announcements(file, storages).load()
    return sum(storages.values())


class _Anything:
    """Stands for any object that a pickle names: it can be called, filled and changed, and does nothing."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __call__(self, *_: object, **__: object) -> _Anything:
        return self

    def __setitem__(self, *_: object) -> None:
        pass

    def __setstate__(self, _: object) -> None:
        pass

    def append(self, _: object) -> None:
        """Of a list."""

    def extend(self, _: object) -> None:
        """Of a list."""

    def add(self, _: object) -> None:
        """Of a set."""


class _Announcements(pickle._Unpickler):  # that in C takes memory for as many objects as a number in the file says
    """Notes how many bytes each storage of a pickle is to have."""

    def __init__(self, file: BinaryIO, storages: dict[Any, int]) -> None:
        super().__init__(file)
        self._storages = storages

    def find_class(self, module: str, name: str) -> Any:
        """Nothing is imported; of storages the name is kept, as it has the type."""
        return name if module.startswith("torch") and name.endswith("Storage") else _Anything

    def persistent_load(self, pid: Any) -> _Anything:
        """A storage: ("storage", type, key, location, number of values, view)."""
        if isinstance(pid, tuple) and len(pid) >= 5 and pid[0] == "storage":
            _, kind, key, _, count = pid[:5]
            if not isinstance(count, int) or count < 0:
                raise pickle.UnpicklingError("a storage without a size")
            self._storages[key] = count * _bytes_of(kind)
        return _Anything()


def _bytes_of(kind: object) -> int:
    sizes = {"Double": 8, "Long": 8, "Float": 4, "Int": 4, "Half": 2, "BFloat16": 2, "Short": 2}
    return sizes.get(str(kind).removesuffix("Storage"), 1)


class _Plain:
    """Copies a file's contents into plain dictionaries, lists, tuples and tensors, and counts the tensors' bytes."""

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._size = size
        self._bytes = 0
        self._tensors = 0
        self._copies: dict[int, Any] = {}  # an object held in many places is copied once

    def copy(self, content: Any, where: str, levels: int) -> Any:
        """Raises CheckpointError where a tensor is not as weights are, or a limit is exceeded."""
        if isinstance(content, Tensor):
            return self._tensor(content, where)
        if not isinstance(content, (dict, list, tuple)):
            return content
        if id(content) in self._copies:
            return self._copies[id(content)]
        if levels == 0:
            raise CheckpointError(f"{self._path} is nested deeper than {MAX_DEPTH} levels; {_AGAIN}")
        if isinstance(content, dict):
            copies = self._copies[id(content)] = {}
            for key, value in type(content).items(content):
                copies[key] = self.copy(value, f"{where}.{shown(key)}".removeprefix("."), levels - 1)
            return copies
        values = self._copies[id(content)] = []
        values += (self.copy(value, f"{where}.{i}".removeprefix("."), levels - 1) for i, value in enumerate(content))
        return tuple(values) if isinstance(content, tuple) else values

    def _tensor(self, tensor: Tensor, where: str) -> Tensor:
        _check_tensor(tensor, f"{self._path}: {where or 'the content'}")
        tensor = Tensor.detach(tensor)
        self._tensors += 1
        _check_count(self._tensors, str(self._path))
        self._bytes += tensor.numel() * tensor.element_size()
        if self._bytes > max(MAX_REUSE * self._size, MAX_SMALL):
            raise CheckpointError(
                f"{self._path} has {self._size} bytes and tensors of {self._bytes}, since {where} repeats what is "
                f"stored; {_AGAIN}"
            )
        return tensor


def _check_tensor(tensor: Tensor, where: str) -> None:
    """Raise CheckpointError for a tensor that is not as weights are."""
    if type(tensor) not in (Tensor, nn.Parameter) or tensor.layout != torch.strided or tensor.is_quantized:
        kind = "quantised" if getattr(tensor, "is_quantized", False) else str(tensor.layout).removeprefix("torch.")
        raise CheckpointError(f"{where} is a {kind} tensor, expected a dense one; {_AGAIN}")
    if tensor.device.type != "cpu":
        raise CheckpointError(f"{where} has no values (device {tensor.device}); {_AGAIN}")
    if tensor.dtype not in _TYPES:
        kind = str(tensor.dtype).removeprefix("torch.")
        raise CheckpointError(f"{where} is of type {kind}, expected floating point of 16 to 64 bits; {_AGAIN}")
