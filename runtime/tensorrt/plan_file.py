"""The description of a TensorRT plan: its first bytes, the `<plan>.json` beside it, and the name of its network.

The plan stays a plain plan, so `trtexec`, Triton and Polygraphy open it; all that does not fit is in the sidecar.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, get_args

from yolact.runtime.config import MAX_CLASSES
from yolact.runtime.errors import EngineError
from yolact.runtime.fields import exactly, shown, whole
from yolact.runtime.input_files import no_file
from yolact.runtime.json_text import from_json, to_json
from yolact.runtime.metadata import CONFIG_KEY, ModelMetadata, Precision
from yolact.runtime.tensorrt.flavour import FLAVOURS, PLAN_MAGIC_SIZE, Flavour, Version
from yolact.runtime.wording import list_all, one_line, printable

SIDECAR_SCHEMA_VERSION = 2
MAX_SIDECAR_SIZE = 1 << 20
NETWORK_NAME_PREFIX = "yolact:"
MAX_NETWORK_NAME = 4095
"""TensorRT refuses names of more than 4096 characters, terminating zero included."""

_VERSION_OFFSET = 24
_HEADER_SIZE = 28


@dataclass(frozen=True)
class PlanHeader:
    """The first bytes of a plan.

    Attributes:
        flavour: the TensorRT that wrote it.
        version: of this TensorRT.
    """

    flavour: Flavour
    version: Version


def read_plan_header(path: Path) -> PlanHeader | None:
    """Flavour and version from the first bytes of a file, None where it is no plan.

    Source of the layout: NVIDIA/TensorRT samples/common/sampleEngines.cpp `printPlanVersion`.
    Raises EngineError for a plan that ends before its version, and for a pipe, a device or a folder.
    """
    if path.exists() and not path.is_file():
        raise EngineError(f"{no_file(path, 'engine file')}; save it as a file first")
    with path.open("rb") as file:
        start = file.read(_HEADER_SIZE)
    flavour = next((one for one in FLAVOURS if start[:PLAN_MAGIC_SIZE] == one.magic), None)
    if flavour is None:
        return None
    if len(start) < _HEADER_SIZE:
        raise EngineError(f"{path} is cut off after {len(start)} bytes; copy or build it again")
    return PlanHeader(flavour, Version(*start[_VERSION_OFFSET:_HEADER_SIZE]))


_TYPES_IN_WORDS = {"FLOAT": "fp32", "HALF": "fp16", "BF16": "bf16"}


@dataclass(frozen=True)
class PlanIdentity:
    """The build of a plan: the contents of its sidecar besides the model's metadata.

    Attributes:
        flavour: Python module of the TensorRT that built it: ``tensorrt`` or ``tensorrt_rtx``.
        tensorrt_version: of that module.
        cuda_version: of the driver at build time, empty where it was built without a GPU.
        gpu_name: of the GPU it was built on, empty where it was built without one.
        gpu_archs: architectures it runs on, such as ``sm_86``; empty for every one that the flavour supports.
        precision_asked: type of the network's weights and activations.
        precision_obtained: convolutions by TensorRT's name of their type.
        min_batch, opt_batch, max_batch: images per call.
        plugins: the plugins without which it cannot be opened, as operators of the ONNX file.
        version_compatible: opens in later TensorRT, with code that it carries.
        hardware_compatible: opens on other GPUs from Ampere on.
        size: of the plan, bytes.
        plan_sha256, onnx_sha256: digests of the plan and of the ONNX it was built from.
        command: the command that built it, as a list of arguments; empty where that is not known.
        plugins_embedded: the plan carries the library with its plugins, so it needs none here but runs code of its own.
    """

    flavour: str
    tensorrt_version: str
    cuda_version: str
    gpu_name: str
    gpu_archs: tuple[str, ...]
    precision_asked: Precision
    precision_obtained: dict[str, int]
    min_batch: int
    opt_batch: int
    max_batch: int
    plugins: tuple[str, ...]
    version_compatible: bool
    hardware_compatible: bool
    size: int
    plan_sha256: str
    onnx_sha256: str
    command: tuple[str, ...]
    plugins_embedded: bool = False

    @property
    def convolutions(self) -> str:
        """The number of convolutions that compute in each type, in words: ``52 convolutions in fp16 and 1 in fp32``."""
        counts = sorted(self.precision_obtained.items(), key=lambda item: -item[1])
        told = [f"{count} in {_TYPES_IN_WORDS.get(name, name)}" for name, count in counts]
        return list_all(told).replace(" in ", " convolutions in ", 1) or "no convolutions of a known type"

    @property
    def command_line(self) -> str:
        """The command that built it, to be pasted into a shell: quoted, so that no argument can be another command."""
        return shlex.join(self.command)

    def to_sidecar(self, metadata: ModelMetadata) -> str:
        """The sidecar's text: JSON with this and the model's metadata."""
        values = {
            "schema_version": SIDECAR_SCHEMA_VERSION,
            "plan": asdict(self),
            "model": metadata.to_props(),
        }
        return to_json(values, indent=2) + "\n"


def sidecar_of(plan: Path) -> Path:
    """The path of a plan's sidecar: `yolact.plan.json` beside `yolact.plan`."""
    return plan.with_name(f"{plan.name}.json")


def read_sidecar(path: Path) -> tuple[PlanIdentity, ModelMetadata]:
    """The contents of a sidecar. Raises EngineError where it is damaged or of another schema."""
    again = "build the plan again with yolact-build"
    try:
        if path.stat().st_size > MAX_SIDECAR_SIZE:
            raise ValueError(f"it has more than {MAX_SIDECAR_SIZE} bytes")
        values = from_json(path.read_bytes())
        if not isinstance(values, dict):
            raise ValueError("it is no object")
        version = values.get("schema_version")
        if type(version) is not int or version != SIDECAR_SCHEMA_VERSION:
            raise EngineError(
                f"{path} has schema {shown(version)}, this runtime reads {SIDECAR_SCHEMA_VERSION}; {again}"
            )
        identity = _identity(exactly("the sidecar", values, ("schema_version", "plan", "model"))["plan"])
        metadata = ModelMetadata.from_props(values["model"], str(path))
    except (OSError, ValueError) as error:
        raise EngineError(f"{path} is no sidecar of a plan ({one_line(error)}); {again}") from error
    return identity, metadata


def _identity(values: object) -> PlanIdentity:
    """The part of a sidecar under the key `plan`.

    Raises ValueError for values that `to_sidecar` would not have written: the file may come from
    anywhere, and its texts are shown in terminals.
    """
    names = tuple(field.name for field in fields(PlanIdentity))
    given = {"plugins_embedded": False} | values if isinstance(values, dict) else values
    known: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in exactly("the plan", given, names).items()
    }
    identity = PlanIdentity(**known)
    for field in fields(PlanIdentity):
        if not _IS_VALID[field.type](getattr(identity, field.name)):
            raise ValueError(f"{field.name}: {shown(getattr(identity, field.name))}")
    if identity.flavour not in {one.module for one in FLAVOURS}:
        raise ValueError(f"flavour: {shown(identity.flavour)}")
    if not all(re.fullmatch(r"sm_\d{2,3}", arch) for arch in identity.gpu_archs):
        raise ValueError(f"gpu_archs: {shown(identity.gpu_archs)}")
    if identity.command and identity.command[0] not in ("yolact-build", "yolact-export"):
        raise ValueError(f"command: {shown(identity.command)}")
    Version.parse(identity.tensorrt_version)
    return identity


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value == printable(value)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


_IS_VALID: dict[Any, Callable[[Any], bool]] = {
    "str": _is_text,
    "int": _is_count,
    "bool": lambda value: isinstance(value, bool),
    "tuple[str, ...]": lambda value: isinstance(value, tuple) and all(map(_is_text, value)),
    "dict[str, int]": lambda value: (
        isinstance(value, dict) and all(map(_is_text, value)) and all(map(_is_count, value.values()))
    ),
    "Precision": lambda value: value in get_args(Precision),
}
"""Checks of a value, by the annotation of its field in `PlanIdentity`; dataclasses keep annotations as text."""


def to_network_name(metadata: ModelMetadata) -> str:
    """The metadata in one line for `INetworkDefinition.name`, which becomes the engine's name.

    It survives where a plan is copied without its sidecar. Of many classes only the number fits; how it was quantised,
    which nothing needs to know to run it, is left out.
    """
    props = replace(metadata, quantization=None).to_props()
    name = _name(props)
    if len(name) > MAX_NETWORK_NAME:
        config = metadata.config.to_json() | {"class_names": metadata.config.num_classes, "category_ids": []}
        name = _name(props | {CONFIG_KEY: to_json(config)})
    return name


def _name(props: dict[str, str]) -> str:
    return NETWORK_NAME_PREFIX + to_json(props)


def from_network_name(name: str, source: str) -> ModelMetadata | None:
    """The metadata in a network's name; None where another tool named it. Raises EngineError for a damaged name.

    Classes whose names did not fit are called `class_0` and so on.
    """
    if not name.startswith(NETWORK_NAME_PREFIX):
        return None
    try:
        props = from_json(name[len(NETWORK_NAME_PREFIX) :])
        written = props.get(CONFIG_KEY) if isinstance(props, dict) else None
        config = from_json(written) if isinstance(written, str) else None
        if isinstance(config, dict) and isinstance(config.get("class_names"), int):
            count = whole("class_names", config["class_names"], 1, MAX_CLASSES)
            config["class_names"] = [f"class_{index}" for index in range(count)]
            props[CONFIG_KEY] = to_json(config)
    except ValueError as error:
        again = "build it with yolact-build"
        raise EngineError(f"{source} has a damaged network name ({error}); {again}") from error
    return ModelMetadata.from_props(props, source)
