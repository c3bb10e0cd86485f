"""Whether a plan runs here: every reason why not, told in one sentence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from plan_files import IDENTITY

from yolact.runtime.cuda.built_libraries import GpuCode
from yolact.runtime.cuda.gpu import Gpu
from yolact.runtime.tensorrt.flavour import TENSORRT, TENSORRT_RTX, TensorRt, Version
from yolact.runtime.tensorrt.plan_compatibility import Machine, find_obstacle
from yolact.runtime.tensorrt.plan_file import PlanHeader, PlanIdentity

BUILT = Version(10, 3, 0, 26)
HEADER = PlanHeader(TENSORRT, BUILT)
ORIN = Gpu("Orin", "sm_87", "12.6")
REBUILD = "rebuild it here with: yolact-build --engine yolact.onnx"


def tensorrt(*version: int) -> TensorRt:
    return TensorRt(TENSORRT, None, Version(*version))


def verdict(
    path: Path, identity: PlanIdentity | None, *, header: PlanHeader = HEADER, trusted: bool = False, **here: Any
) -> str | None:
    path.write_bytes(b"\0" * IDENTITY.size)
    defaults = {"tensorrt": tensorrt(*BUILT), "gpu": ORIN, "plugins": frozenset({"YolactFastNms"})}
    return find_obstacle(path, header, identity, Machine(**(defaults | here)), allow_host_code=trusted)


def test_where_it_was_built_it_runs(tmp_path: Path) -> None:
    assert verdict(tmp_path / "a.plan", IDENTITY) is None
    assert verdict(tmp_path / "a.plan", IDENTITY, tensorrt=tensorrt(10, 3, 0)) is None  # as the module calls itself


def change(**values: Any) -> PlanIdentity:
    return replace(IDENTITY, **values)


A100, T4, H200 = Gpu("A100", "sm_80", "12.8"), Gpu("T4", "sm_75", "12.8"), Gpu("H200", "sm_90", "13.0")
NO_GPU = "there is no NVIDIA driver on this machine; install it"
COMPATIBLE = change(version_compatible=True)
PORTABLE = change(hardware_compatible=True)
NEEDING = change(plugins=("YolactFastNms",))
INSIDE = change(plugins=("YolactFastNms", "YolactMaskAssembly"), plugins_embedded=True)

RTX = Version(1, 7, 1, 116)
OF_RTX: dict[str, Any] = {
    "header": PlanHeader(TENSORRT_RTX, RTX),
    "tensorrt": TensorRt(TENSORRT_RTX, None, RTX),
    "architectures": ("sm_75", "sm_80", "sm_86"),
}
AHEAD = change(gpu_name="", gpu_archs=("sm_86", "sm_89"))
EVERY = change(gpu_name="", gpu_archs=())

CASES: dict[str, tuple[PlanIdentity | None, dict[str, Any], str]] = {
    "cut off": (
        change(size=2000),
        {},
        f"it has 1000 bytes where its sidecar says 2000, so it was cut off or replaced; copy both again or {REBUILD}",
    ),
    "longer than it was": (change(size=500), {}, "it has 1000 bytes where its sidecar says 500, so"),
    "replaced by one of the same size": (
        change(plan_sha256="ab"),
        {},
        "its contents are not those that a.plan.json describes, so one of the two was replaced",
    ),
    "no TensorRT": (IDENTITY, {"tensorrt": "TensorRT is not installed; do"}, "TensorRT is not installed; do"),
    "later minor": (
        IDENTITY,
        {"tensorrt": tensorrt(10, 13, 3, 9)},
        f"here is TensorRT 10.13.3.9, and plans run in the version that built them; {REBUILD}",
    ),
    "later patch": (IDENTITY, {"tensorrt": tensorrt(10, 3, 1, 0)}, "here is TensorRT 10.3.1.0, and"),
    "other major": (IDENTITY, {"tensorrt": tensorrt(11, 1, 0, 106)}, "here is TensorRT 11.1.0.106, and"),
    "earlier than a compatible one": (
        COMPATIBLE,
        {"tensorrt": tensorrt(10, 2, 0, 1), "trusted": True},
        f"here is TensorRT 10.2.0.1, which is older; {REBUILD}",
    ),
    "compatible, so with code": (
        COMPATIBLE,
        {},
        "it is version compatible, so it carries code; if you trust it, pass --allow-host-code",
    ),
    "no GPU": (IDENTITY, {"gpu": NO_GPU}, NO_GPU),
    "no GPU, no sidecar": (None, {"gpu": NO_GPU}, NO_GPU),
    "other GPU": (IDENTITY, {"gpu": A100}, f"here is A100 (sm_80); {REBUILD}"),
    "older than Ampere": (PORTABLE, {"gpu": T4}, f"here is T4 (sm_75); {REBUILD}"),
    "ahead of time": (
        AHEAD,
        {"gpu": A100, **OF_RTX},
        "here is A100 (sm_80); build it with --gpu-arch sm_80, it was: yolact-build --engine yolact.onnx",
    ),
    "ahead of time, by default for Ampere": (EVERY, {"gpu": T4, **OF_RTX}, "here is T4 (sm_75); build it with --gpu"),
    "nothing is built ahead of time for it": (
        AHEAD,
        {"gpu": H200, **OF_RTX},
        "here is H200 (sm_90), for which TensorRT for RTX does not build ahead of time",
    ),
    "another TensorRT for RTX, without a sidecar": (
        None,
        OF_RTX | {"tensorrt": TensorRt(TENSORRT_RTX, None, Version(1, 6))},
        "here is TensorRT for RTX 1.6.0.0, and plans run in the version that built them",
    ),
    "plugin": (
        change(plugins=("B", "YolactFastNms", "A")),
        {},
        "it needs the plugins A, B, which are not loaded; build them here with: yolact-build-plugins",
    ),
    "plugins without code for the GPU": (
        NEEDING,
        {"plugin_code": GpuCode(("sm_86", "sm_90"), "sm_90")},
        "it needs the plugins YolactFastNms, whose library has code for sm_86, sm_90 and later, and here is Orin "
        "(sm_87); build them here with: yolact-build-plugins --arch sm_87",
    ),
    "plugins inside": (INSIDE, {}, "it carries the code of its plugins; if you trust it, pass --allow-host-code"),
}


@pytest.mark.parametrize("name", CASES)
def test_reasons(tmp_path: Path, name: str) -> None:
    identity, here, reason = CASES[name]
    sentence = verdict(tmp_path / "a.plan", identity, **here)
    assert sentence is not None and sentence.count("\n") == 0
    assert sentence.startswith(f"{tmp_path / 'a.plan'}, built by TensorRT")
    assert f"cannot run here: {reason}" in sentence
    assert ("on Orin (sm_87)" in sentence) == (identity is not None and identity.gpu_name == "Orin")


FITS = {
    "plugins with code for the GPU": (NEEDING, {"plugin_code": GpuCode(("sm_86",), "sm_86")}),
    "plugins of which that is unknown": (NEEDING, {"plugin_code": None}),
    "without plugins their code does not matter": (change(plugins=()), {"plugin_code": GpuCode(("sm_90",), None)}),
    "a compatible plan": (COMPATIBLE, {"trusted": True}),
    "later minor of a compatible plan": (COMPATIBLE, {"tensorrt": tensorrt(10, 16, 1, 11), "trusted": True}),
    "later major of a compatible plan": (COMPATIBLE, {"tensorrt": tensorrt(11, 1, 0, 106), "trusted": True}),
    "plugins inside, so none are needed here": (INSIDE, {"plugins": frozenset(), "trusted": True}),
    "another Ampere or later": (PORTABLE, {"gpu": H200}),
    "built on the first Ampere": (change(hardware_compatible=True, gpu_archs=("sm_80",)), {"gpu": H200}),
    "one of several": (change(gpu_name="", gpu_archs=("sm_80", "sm_87")), {}),
    "every GPU from Ampere on": (EVERY, {"gpu": H200, **OF_RTX}),
    "without a sidecar TensorRT itself decides": (None, {"tensorrt": tensorrt(10, 13, 3, 9), "gpu": A100}),
}


@pytest.mark.parametrize("name", FITS)
def test_what_fits(tmp_path: Path, name: str) -> None:
    identity, here = FITS[name]
    assert verdict(tmp_path / "a.plan", identity, **here) is None


def test_flavours_have_their_own_titles(tmp_path: Path) -> None:
    (tmp_path / "a.plan").write_bytes(b"\0")
    sentence = find_obstacle(
        tmp_path / "a.plan", PlanHeader(TENSORRT_RTX, Version(1, 7, 1, 116)), None, Machine("missing", "")
    )
    assert sentence is not None and "built by TensorRT for RTX 1.7.1.116, cannot run here: missing" in sentence
