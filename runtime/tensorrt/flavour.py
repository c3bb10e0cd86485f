"""The two builds of TensorRT behind one small interface: `tensorrt` and `tensorrt_rtx` (TensorRT for RTX).

Their Python modules have nearly the same contents; names that differ or are missing are looked up here or where used.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, NamedTuple

from yolact.runtime.contract import PLUGIN_NAMESPACE, PLUGIN_VERSION
from yolact.runtime.errors import YolactError
from yolact.runtime.packages import how_to_install
from yolact.runtime.wording import one_line

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
    """A TensorRT version, whose first two numbers decide its abilities."""

    major: int
    minor: int
    patch: int = 0
    build: int = 0

    def __str__(self) -> str:
        return ".".join(map(str, self))

    @classmethod
    def parse(cls, text: str) -> Version:
        """From `10.3.0`, `10.14.1.48.post1` and the like. Raises ValueError for anything else."""
        numbers = [int(part) for part in text.split(".") if part.isdecimal()][:4]
        if len(numbers) < 2:
            raise ValueError(f"{text!r} is no version")
        return cls(*numbers)


class TensorRt(NamedTuple):
    """A TensorRT that was imported.

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


class FlavourNotInstalled(FlavourMissing):
    """A flavour of which no part is installed."""


def load_flavour(flavour: Flavour) -> TensorRt:
    """Import one flavour.

    Raises FlavourMissing with the command that installs it, or the reason why the installed one does not load.
    """
    try:
        module: ModuleType = importlib.import_module(flavour.module)
        version = Version.parse(module.__version__)
    except ModuleNotFoundError as error:
        if error.name != flavour.module:
            raise FlavourMissing(_broken(flavour, error)) from error
        raise FlavourNotInstalled(f"{flavour.title} is not installed; {how_to_install(flavour.extra)}") from None
    except (ImportError, OSError, AttributeError, ValueError) as error:  # its libraries are missing or for another CUDA
        if isinstance(error.__cause__ or error.__context__, KeyboardInterrupt):  # Ctrl-C while its bindings are loaded
            raise KeyboardInterrupt from None
        raise FlavourMissing(_broken(flavour, error)) from error
    return TensorRt(flavour, module, version)


def _broken(flavour: Flavour, error: Exception) -> str:
    reason = one_line(error)
    return f"{flavour.title} is installed but does not load ({reason}); install it again or mend its libraries"


def known_architectures(tensorrt: TensorRt) -> list[str]:
    """The architectures, such as ``sm_86``, that TensorRT for RTX can build for ahead of time; none for TensorRT."""
    names = tensorrt.module.ComputeCapability.__members__ if tensorrt.flavour is TENSORRT_RTX else ()
    return [f"sm_{name[2:]}" for name in names if name.startswith("SM") and name[2:].isdecimal()]


def registered_plugins(tensorrt: TensorRt, names: Iterable[str]) -> frozenset[str]:
    """The plugins among these that are registered with this TensorRT, in the toolkit's namespace."""
    registry = tensorrt.module.get_plugin_registry()
    if registry is None:  # where the driver is too old for this TensorRT
        return frozenset()
    ours = (PLUGIN_VERSION, PLUGIN_NAMESPACE)  # asking for one that is missing would log an error
    found = {one.name for one in registry.all_creators if (one.plugin_version, one.plugin_namespace) == ours}
    return frozenset(found.intersection(names))
