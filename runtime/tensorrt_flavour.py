"""The two builds of TensorRT behind one small interface: `tensorrt` and `tensorrt_rtx` (TensorRT for RTX).

Their Python modules have nearly the same contents; what differs in name or presence is looked up here or where used.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from types import ModuleType
from typing import Any, NamedTuple

from yolact.runtime.errors import YolactError

PLAN_MAGIC_SIZE = 4


@dataclass(frozen=True)
class Flavour:
    """One build of TensorRT.

    Attributes:
        module: name of its Python module.
        title: its name in sentences.
        magic: first bytes of the plans it writes.
        extra: the extra of this package that installs it.
    """

    module: str
    title: str
    magic: bytes
    extra: str


TENSORRT = Flavour("tensorrt", "TensorRT", b"ftrt", "tensorrt")
TENSORRT_RTX = Flavour("tensorrt_rtx", "TensorRT for RTX", b"vtrt", "rtx")
FLAVOURS = (TENSORRT, TENSORRT_RTX)
"""In order of preference."""


class Version(NamedTuple):
    """A TensorRT version, of which the first two numbers decide what it can do."""

    major: int
    minor: int
    patch: int = 0
    build: int = 0

    def __str__(self) -> str:
        return ".".join(map(str, self))

    @classmethod
    def parse(cls, text: str) -> Version:
        """From `10.3.0`, `10.14.1.48.post1` and the like."""
        numbers = [int(part) for part in text.split(".") if part.isdecimal()][:4]
        return cls(*numbers, *([0] * (2 - len(numbers))))


class TensorRt(NamedTuple):
    """An importable TensorRT.

    Attributes:
        flavour: which build.
        module: its Python module; there are no type stubs, hence Any.
        version: of the module.
    """

    flavour: Flavour
    module: Any
    version: Version

    def __str__(self) -> str:
        return f"{self.flavour.title} {self.version}"


class FlavourMissing(YolactError):
    """A flavour that is not installed, or whose libraries do not load."""


def load_flavour(flavour: Flavour) -> TensorRt:
    """Import one flavour.

    Raises FlavourMissing with the command that installs it, or the reason why what is installed does not load.
    """
    try:
        module: ModuleType = importlib.import_module(flavour.module)
        version = Version.parse(module.__version__)
    except ModuleNotFoundError as error:
        if error.name != flavour.module:
            raise FlavourMissing(_broken(flavour, error)) from error
        raise FlavourMissing(
            f"{flavour.title} is not installed; install it with: pip install 'yolact[{flavour.extra}]'"
        ) from None
    except (ImportError, OSError, AttributeError) as error:  # its libraries are missing or for another CUDA
        raise FlavourMissing(_broken(flavour, error)) from error
    return TensorRt(flavour, module, version)


def _broken(flavour: Flavour, error: Exception) -> str:
    reason = " ".join(str(error).split())
    return f"{flavour.title} is installed but does not load ({reason}); install it again or mend its libraries"


def load_any_flavour() -> TensorRt:
    """The first flavour that can be imported. Raises FlavourMissing with the reasons of all where none can."""
    reasons = []
    for flavour in FLAVOURS:
        try:
            return load_flavour(flavour)
        except FlavourMissing as error:
            reasons.append(str(error))
    raise FlavourMissing("; ".join(reasons))
