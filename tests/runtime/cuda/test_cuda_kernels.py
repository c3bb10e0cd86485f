"""The Python binding of the CUDA kernels: what it passes on, and its errors. The kernels have tests of their own."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from dataclasses import fields
from pathlib import Path

import missing
import pytest
from host_kernel_build import PLUGINS, cuda_include

from yolact.runtime.cuda import kernels as cuda_kernels
from yolact.runtime.cuda.kernels import DeviceImage, KernelLibrary
from yolact.runtime.errors import UsageError, YolactError

STRUCTURES = {
    "fast_nms": {"YolactFastNmsParams": "FastNmsParams", "YolactFastNmsTensors": "FastNmsTensors"},
    "mask_assembly": {
        "YolactMaskAssemblyParams": "MaskAssemblyParams",
        "YolactMaskAssemblyTensors": "MaskAssemblyTensors",
    },
    "resize_pack": {"YolactImage": "DeviceImage"},
    "masks_to_image": {
        "YolactMasksToImageParams": "MasksToImageParams",
        "YolactMasksToImageTensors": "MasksToImageTensors",
    },
}


def compile_c(source: str, output: Path, *options: str) -> Path:
    if shutil.which("g++") is None:
        pytest.skip(missing.program("g++"))
    command = [
        "g++",
        "-x",
        "c++",
        "-",
        "-I",
        str(PLUGINS),
        "-isystem",
        str(cuda_include()),
        "-o",
        str(output),
        *options,
    ]
    subprocess.run(command, input=source, text=True, check=True)
    return output


def test_structures_are_those_of_the_headers(tmp_path: Path) -> None:
    """Every field's offset, and the sizes, as the C compiler sees them."""
    headers = "".join(f'#include "{name}/{name}.h"\n' for name in STRUCTURES)
    expected, lines = [], []
    for c_name, name in (pair for structures in STRUCTURES.values() for pair in structures.items()):
        of = getattr(cuda_kernels, name)
        structure = cuda_kernels._structure_type(of)
        for field in fields(of):
            expected.append(f"{c_name}.{field.name} {getattr(structure, field.name).offset}")
            lines.append(f'printf("{c_name}.{field.name} %zu\\n", offsetof({c_name}, {field.name}));')
        expected.append(f"{c_name} {ctypes.sizeof(structure)}")
        lines.append(f'printf("{c_name} %zu\\n", sizeof({c_name}));')
    program = f"{headers}#include <cstdio>\nint main() {{ {' '.join(lines)} }}"
    done = subprocess.run([compile_c(program, tmp_path / "offsets")], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == expected


def test_no_library(tmp_path: Path) -> None:
    with pytest.raises(YolactError, match=r"expected the CUDA kernels at .*missing.so; nothing is there: run yolact-"):
        KernelLibrary(tmp_path / "missing.so")


def test_no_shared_object(tmp_path: Path) -> None:
    path = tmp_path / "text.so"
    path.write_text("no library")
    with pytest.raises(YolactError, match=r"cannot load the CUDA kernels: .*text.so.*; run yolact-build-plugins"):
        KernelLibrary(path)


def test_a_failed_launch(tmp_path: Path) -> None:
    source = """extern "C" {
        const char* yolact_cuda_error(int) { return "cudaErrorLaunchFailure: unspecified launch failure"; }
        const char* yolact_resize_pack_check() { return 0; }
        int yolact_resize_pack() { return 719; }
        size_t yolact_fast_nms_workspace() { return 0; }
    }"""
    path = compile_c(f"#include <cstddef>\n{source}", tmp_path / "failing.so", "-shared", "-fPIC")
    with pytest.raises(YolactError, match=r"with CUDA error 719, cudaErrorLaunchFailure: unspecified lau"):
        KernelLibrary(path).resize_pack(DeviceImage(1, 1, 1, 3), 1, 1)


def test_errors_have_names(host_kernels: Path) -> None:
    library = ctypes.CDLL(str(host_kernels))
    library.yolact_cuda_error.restype = ctypes.c_char_p
    assert library.yolact_cuda_error(719) == b"cudaErrorLaunchFailure: an error of the CPU's CUDA"


def test_a_library_of_another_version(tmp_path: Path) -> None:
    path = compile_c('extern "C" void yolact_fast_nms_workspace() {}', tmp_path / "old.so", "-shared", "-fPIC")
    with pytest.raises(YolactError, match=r"old.so is of another version \(.*yolact_cuda_error\); run yolact-build-pl"):
        KernelLibrary(path)


def test_integers_that_do_not_fit(host_kernels: Path) -> None:
    with pytest.raises(UsageError, match=r"^DeviceImage\.width must fit in 32 bits, got 4294967297$"):
        KernelLibrary(host_kernels).resize_pack(DeviceImage(1, 1, (1 << 32) + 1, 3), 1, 1)
