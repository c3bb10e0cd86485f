"""libyolact as C programs use it: the header, what is built, and programs linked to it."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import capi_client as client
import cv2
import missing
import pytest
from repository import ROOT
from scripted_engine import write_engine, write_photo
from service_process import SANITIZERS, SUPPRESSIONS

import yolact
from benchmarks.service.load import SOURCES as SERVICE
from yolact.runtime.capi import bridge
from yolact.runtime.capi.build import HEADER, build, read_version
from yolact.runtime.detector import Detector
from yolact.runtime.images.image_files import read_image
from yolact.runtime.results import to_row

PROGRAMS = ROOT / "tests" / "support" / "capi_programs"
STRICT = ("-Wall", "-Wextra", "-Werror", "-pedantic")


@pytest.fixture(scope="module")
def compiled(capi_folder: Path) -> Callable[[Path], Path]:
    """Programs that were linked to the library."""

    def compile_program(source: Path) -> Path:
        program = capi_folder / source.stem
        links = [f"-L{capi_folder}", "-lyolact", f"-Wl,-rpath,{capi_folder}", "-ldl"]
        run(["cc", "-std=gnu11", *STRICT, "-pthread", f"-I{capi_folder}", source, "-o", program, *links])
        return program

    return compile_program


@pytest.fixture(scope="module")
def example(compiled: Callable[[Path], Path]) -> Path:
    return compiled(ROOT / "examples" / "c" / "detect.c")


def run(command: list[Any], **settings: Any) -> str:
    """The command's output, from an environment without variables."""
    words = [str(word) for word in command]
    settings = {"env": {"PATH": "/usr/local/bin:/usr/bin:/bin"}, "timeout": 300} | settings
    done = subprocess.run(words, capture_output=True, text=True, check=False, **settings)
    assert done.returncode == 0, f"{words} gave {done.returncode}: {done.stdout}{done.stderr}"
    return done.stdout


def sentence(command: list[Any]) -> str:
    """What a command that fails says, in one line."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


@pytest.mark.parametrize(("compiler", "language"), [("cc", "c99"), ("cc", "c11"), ("c++", "c++17")])
def test_the_header_stands_alone(compiler: str, language: str, tmp_path: Path) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(missing.program(compiler))
    source = tmp_path / ("program.cpp" if "++" in language else "program.c")
    source.write_text(
        "#include <yolact.h>\n#include <yolact.h>\n"
        "yolact_stream_options in_turn = YOLACT_STREAM_OPTIONS_DEFAULT;\n"
        "int main(void) { yolact_options options = YOLACT_OPTIONS_DEFAULT; return options.top_k; }\n"
    )
    run([compiler, f"-std={language}", *STRICT, "-fsyntax-only", f"-I{HEADER.parent}", source])


def test_versions_agree(capi: Any) -> None:
    assert yolact.__version__ == read_version()
    major, minor, patch = map(int, read_version().split("."))
    assert capi.yolact_version() == major * 10000 + minor * 100 + patch


def test_statuses_agree(capi: Any) -> None:
    statuses = dict(re.findall(r"YOLACT_(?:ERROR_)?(\w+) = (\d+)", HEADER.read_text().split("yolact_status;")[0]))
    names = {name: int(number) for name, number in statuses.items()}
    assert names == {
        name: getattr(client, name)
        for name in ["OK", "ARGUMENT", "HANDLE", "ENGINE", "IMAGE", "PYTHON", "MEMORY", "INTERNAL", "FULL", "EMPTY"]
    }
    assert set(bridge.STATUSES.values()) | {bridge.CLOSED, bridge.INTERNAL} <= set(names.values())
    texts = {capi.yolact_status_string(number) for number in names.values()}
    assert len(texts) == len(names) and b"unknown status" not in texts
    assert capi.yolact_status_string(12345) == b"unknown status"


def test_only_the_api_is_exported(capi_folder: Path) -> None:
    if shutil.which("nm") is None:
        pytest.skip(missing.program("nm"))
    symbols = run(["nm", "-D", "--defined-only", capi_folder / "libyolact.so"]).split()[2::3]
    declared = re.findall(r"(yolact_\w+)\(", re.sub(r"/\*.*?\*/", "", HEADER.read_text(), flags=re.DOTALL))
    assert set(symbols) == set(declared)


def test_pkg_config_and_cmake_find_it(capi_folder: Path, tmp_path: Path) -> None:
    if not shutil.which("cmake") or not shutil.which("pkg-config"):
        pytest.skip("cmake or pkg-config is not installed -- apt-get install cmake pkg-config")
    variables = {"PATH": "/usr/local/bin:/usr/bin:/bin", "PKG_CONFIG_PATH": str(capi_folder)}
    flags = shlex.split(run(["pkg-config", "--cflags", "--libs", "yolact"], env=variables))
    source = ROOT / "examples" / "c" / "detect.c"
    run(["cc", "-std=c99", *STRICT, source, *flags, "-o", tmp_path / "by-pkg-config"])
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.16)\nproject(example C)\nfind_package(yolact 0.1 REQUIRED)\n"
        f'add_executable(by-cmake "{source}")\ntarget_link_libraries(by-cmake yolact::yolact)\n'
    )
    run(["cmake", "-S", tmp_path, "-B", tmp_path / "b", f"-Dyolact_DIR={capi_folder}"])
    run(["cmake", "--build", tmp_path / "b"])
    for program in (tmp_path / "by-pkg-config", tmp_path / "b" / "by-cmake"):
        assert "usage: detect" in sentence([program])


def test_the_example_prints_what_python_finds(example: Path, tiny_engine: Path, photos: Any, tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    cv2.imwrite(str(photo), photos[0])
    with Detector.open(tiny_engine) as detector:
        found = detector(read_image(photo)).select(0.15)
        names = [detector.class_names[i] for i in found.class_ids]
    assert len(found) > 3
    lines = [
        f"{name} {score:.6f} {' '.join(f'{x:.3f}' for x in box)} mask {region.shape[1]}x{region.shape[0]}"
        for name, score, box, (region, _) in zip(names, found.scores, found.boxes, found.iter_masks(), strict=True)
    ]
    assert run([example, tiny_engine, photo]).splitlines() == lines


@pytest.mark.parametrize(
    ("engine", "photo", "said"),
    [
        ("text.onnx", "missing.jpg", "missing.jpg: No such file or directory"),
        ("text.onnx", ".", ".: Is a directory"),
        ("text.onnx", "text.onnx", "text.onnx: image: this is no image"),
        ("text.onnx", "photo.ppm", "detect: text.onnx cannot be opened"),
    ],
)
def test_the_example_says_what_it_cannot_use(
    example: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str, photo: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_photo(tmp_path / "photo.ppm")
    Path("text.onnx").write_text("text")
    assert sentence([example, engine, photo]).startswith(said)


def test_the_callers_variables_and_folder_do_not_matter(example: Path, engine: Path, tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "photo.ppm")
    (tmp_path / "numpy.py").write_text("raise SystemExit('the wrong NumPy')")
    variables = {"PYTHONHOME": "/nowhere", "PYTHONPATH": str(tmp_path), "LC_ALL": "C"}
    assert run([example, engine, photo], env=variables, cwd=tmp_path).count("\n") == 3


def test_paths_need_not_be_ascii(example: Path, tmp_path: Path) -> None:
    engine = write_engine(tmp_path / "größe 大.onnx")
    photo = write_photo(tmp_path / "photo.ppm")
    assert run([example, engine, photo]).count("\n") == 3
    assert "größe 小.onnx" in sentence([example, tmp_path / "größe 小.onnx", photo])


def test_threads_that_python_did_not_make(compiled: Callable[[Path], Path], engine: Path) -> None:
    run([compiled(PROGRAMS / "threads.c"), engine])


def test_streams_between_threads(compiled: Callable[[Path], Path], engine: Path) -> None:
    run([compiled(PROGRAMS / "streams.c"), engine])


def test_a_plug_in_outside_the_global_namespace(capi_folder: Path, engine: Path) -> None:
    program = capi_folder / "loads_late"
    run(["cc", "-std=gnu11", *STRICT, f"-I{capi_folder}", PROGRAMS / "loads_late.c", "-o", program, "-ldl"])
    run([program, capi_folder / "libyolact.so", engine])


@pytest.fixture(scope="module")
def sanitized(tmp_path_factory: pytest.TempPathFactory, sanitized_folder: Path) -> Callable[..., Path]:
    """Programs that check every access to memory, as does the library they are linked to."""
    folder, library = tmp_path_factory.mktemp("sanitized"), sanitized_folder

    def compile_program(*sources: Path) -> Path:
        program = folder / sources[0].stem
        include = [f"-I{library}", f"-I{sources[-1].parent}"]
        links = [f"-L{library}", "-lyolact", f"-Wl,-rpath,{library}", "-pthread"]
        run(["cc", "-std=gnu11", *STRICT, *SANITIZERS.split(), *include, *sources, "-o", program, *links])
        return program

    return compile_program


@pytest.fixture
def leaks(tmp_path: Path) -> dict[str, str]:
    """Variables under which the sanitizer reports what the C side has leaked, and new memory is full of rubbish."""
    (tmp_path / "suppressions").write_text(SUPPRESSIONS)
    options = f"suppressions={tmp_path / 'suppressions'}:print_suppressions=0"
    rubbish = f"max_malloc_fill_size={1 << 30}"
    return {"PATH": "/usr/local/bin:/usr/bin:/bin", "LSAN_OPTIONS": options, "ASAN_OPTIONS": rubbish}


def test_memory_with_sanitizers(
    sanitized: Callable[..., Path], example: Path, leaks: dict[str, str], engine: Path, tmp_path: Path
) -> None:
    photo = write_photo(tmp_path / "photo.ppm")
    found = run([sanitized(ROOT / "examples" / "c" / "detect.c"), engine, photo], env=leaks)
    assert found == run([example, engine, photo]) and found.count("\n") == 3
    run([sanitized(PROGRAMS / "threads.c"), engine], env=leaks)
    run([sanitized(PROGRAMS / "streams.c"), engine], env=leaks)


def test_the_services_json_is_that_of_yolact_infer(
    sanitized: Callable[..., Path], leaks: dict[str, str], tiny_engine: Path, photos: Any, tmp_path: Path
) -> None:
    sources = [SERVICE / name for name in ("results_json.c", "mask_rle.c", "text.c", "image_header.c")]
    program = sanitized(PROGRAMS / "json_of.c", *sources)
    images = [photos[0][:170, 3:], photos[1][:169, 5:], photos[2][:31, :97]]
    paths = [tmp_path / f'pho"to{suffix}' for suffix in (".jpg", ".png", ".bmp")]
    for path, image in zip(paths, images, strict=True):
        cv2.imwrite(str(path), image)
    done = subprocess.run([program, tiny_engine, *paths], capture_output=True, text=True, check=True, env=leaks)
    sizes = [f"{image.shape[1]}x{image.shape[0]}" for image in images[:2]]
    assert done.stderr.splitlines() == [f"1 {sizes[0]}", f"2 {sizes[1]}", "0 0x0"]
    with Detector.open(tiny_engine) as detector:
        rows = [to_row(str(path), detector(read_image(path)).select(0.0), "rle") for path in paths]
    assert all(len(row["detections"]) > 3 for row in rows)
    assert [json.loads(line) for line in done.stdout.splitlines()] == rows


def test_an_environment_that_has_gone(
    example: Path, engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = write_photo(tmp_path / "photo.ppm")
    monkeypatch.setenv("CFLAGS", "-O0")
    build(tmp_path, Path("/nowhere/bin/python"))
    variables = {"LD_LIBRARY_PATH": str(tmp_path)}
    program = tmp_path / "detect"
    run(["cc", f"-I{tmp_path}", ROOT / "examples/c/detect.c", "-o", program, f"-L{tmp_path}", "-lyolact"])
    command = ["env", *(f"{name}={value}" for name, value in variables.items()), program, engine, photo]
    said = sentence(command)
    assert "/nowhere/bin/python" in said and "make capi" in said and "yolact-python.txt" in said
    (tmp_path / "yolact-python.txt").write_text(f"{sys.executable}\n")
    assert run(command).count("\n") == 3


def test_an_environment_without_the_toolkit(example: Path, engine: Path, tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "photo.ppm")
    run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"])
    shutil.copy(example.parent / "libyolact.so.0", tmp_path)
    (tmp_path / "yolact-python.txt").write_text(str(tmp_path / "bare/bin/python"))
    said = sentence(["env", f"LD_PRELOAD={tmp_path}/libyolact.so.0", example, engine, photo])
    assert "install yolact for the Python environment" in said and "bare/bin/python" in said
