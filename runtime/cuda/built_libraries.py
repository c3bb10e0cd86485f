"""The CUDA libraries that `yolact-build-plugins` makes: where they lie, and which GPUs they have code for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from yolact.runtime.json_text import from_json

LIBRARY_FOLDER = Path(__file__).parents[2] / "plugins" / "lib"
"""The folder into which `yolact-build-plugins` puts the libraries."""

DESCRIPTION = "library.json"
"""Name of the file in this folder that says which GPUs the libraries have code for; `plugins/build.py` writes it."""

AMPERE_AND_LATER = ("sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120")
"""The existing architectures that plans for "Ampere and later" may run on."""

_JETSON_ONLY = frozenset({"sm_72", "sm_87", "sm_101", "sm_110"})
"""These do not run machine code for other GPUs of their generation (CUDA programming guide)."""


class GpuCode(NamedTuple):
    """The GPUs that a library has code for.

    Attributes:
        archs: architectures with machine code, such as ``sm_86``.
        ptx: the one with PTX, from which drivers make machine code for it and all later ones; None without PTX.
    """

    archs: tuple[str, ...]
    ptx: str | None

    def covers(self, arch: str) -> bool:
        """Whether the library runs on GPUs of this architecture: PTX on its own and later ones, machine code within a
        generation."""
        if arch in self.archs or (self.ptx is not None and _number(self.ptx) <= _number(arch)):
            return True
        generation, minor = divmod(_number(arch), 10)
        near = [divmod(_number(one), 10) for one in self.archs if one not in _JETSON_ONLY]
        return arch not in _JETSON_ONLY and any(theirs == generation and least <= minor for theirs, least in near)

    def lacking(self, archs: tuple[str, ...]) -> list[str]:
        """The architectures among these that the library does not run on; without any, among those from Ampere on."""
        if archs:
            return [arch for arch in archs if not self.covers(arch)]
        later = [] if self.ptx is not None else ["later ones"]
        return self.lacking(AMPERE_AND_LATER) + later

    def __str__(self) -> str:
        machine_code = ", ".join(self.archs)
        if self.ptx is None:
            return machine_code
        return f"{machine_code} and later" if self.ptx in self.archs else f"{machine_code} and {self.ptx} and later"


def read_gpu_code(folder: Path) -> GpuCode | None:
    """The description in the folder of the libraries, None where it is missing or damaged."""
    try:
        values = from_json((folder / DESCRIPTION).read_bytes())
        archs, ptx = values["archs"], values["ptx"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not isinstance(archs, list) or not archs or not all(map(_is_arch, archs)) or not (ptx is None or _is_arch(ptx)):
        return None
    return GpuCode(tuple(archs), ptx)


def _is_arch(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"sm_\d{2,3}", value) is not None


def _number(arch: str) -> int:
    return int(arch[3:])
