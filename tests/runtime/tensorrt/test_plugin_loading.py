"""The plugin library in builds and plans, by TensorRT for RTX and without a GPU.

What is registered stays registered, so everything that loads a library runs in a process of its own.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import missing
import pytest
from click.testing import CliRunner
from made_once import MakeOnce
from plugin_libraries import built_libraries

from yolact.cli.build import main as build_main
from yolact.cli.doctor import main as doctor_main
from yolact.runtime.tensorrt import plugin_library
from yolact.runtime.tensorrt.flavour import TENSORRT_RTX, load_flavour
from yolact.runtime.tensorrt.plugin_library import PLUGINS

pytest.importorskip("tensorrt_rtx", reason=missing.TENSORRT_RTX)

LIBRARY = "libyolact_plugins.so"
PROGRAM = """
import json, sys
from pathlib import Path
from dataclasses import replace
from yolact.runtime.tensorrt import plugin_library
from yolact.runtime.errors import YolactError
from yolact.runtime.tensorrt.plugin_library import load_plugins
from yolact.runtime.tensorrt.flavour import TENSORRT_RTX, load_flavour
plugin_library.LIBRARY_FOLDER, here = Path(sys.argv[1]), Path(sys.argv[2])
rtx = load_flavour(TENSORRT_RTX)
def tell(**values):
    print(json.dumps(values))
"""


def run(program: str, folder: Path, here: Path) -> Any:
    """What a program tells last that has the library in `folder`."""
    command = [sys.executable, "-c", PROGRAM + program, folder, here]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def library(make_once: MakeOnce) -> Path:
    """The folder of the real library."""
    return built_libraries(make_once)


BUILD = """
from yolact.engines.build_options import BuildOptions
from yolact.engines.builder import build_plan
from yolact.runtime.onnx.exported_model import read_exported_model
def build(use, name="tiny.onnx"):
    built = build_plan(read_exported_model(here / name), BuildOptions(("sm_86",), plugins=use), rtx)
    identity, library = built.identity, (plugin_library.LIBRARY_FOLDER / "libyolact_plugins.so")
    layers = {f"{kind} {dtype}": count for (kind, dtype), count in built.layers.items()}
    carried = library.is_file() and library.read_bytes() in built.data
    return {"plugins": identity.plugins, "embedded": identity.plugins_embedded, "layers": layers, "carried": carried}
"""


def test_plugins_take_the_places_of_the_functions(library: Path, tiny_engine: Path, here: Path) -> None:
    """And in the same process, where they are registered for good, `off` builds what is built without a library."""
    shutil.copy(tiny_engine, here / "tiny.onnx")
    told = run(BUILD + "tell(**{use: build(use) for use in ('auto', 'off', 'embed')})", library, here)
    bare = run(BUILD + "tell(**build('auto'))", here, here)
    assert told["off"] == bare
    assert bare["plugins"] == [] and not bare["embedded"]
    for use in ("auto", "embed"):
        assert told[use]["plugins"] == list(PLUGINS)
        assert sum(count for name, count in told[use]["layers"].items() if name.startswith("PLUGIN")) == 2
        assert told[use]["embedded"] == told[use]["carried"] == (use == "embed")


def test_what_needs_no_plugin_is_not_given_one(library: Path, tiny_raw_engine: Path, here: Path) -> None:
    shutil.copy(tiny_raw_engine, here / "raw.onnx")
    program = "from yolact.runtime.errors import UsageError\ntry: build('embed', 'raw.onnx')\n"
    program += "except UsageError as error: tell(error=str(error), auto=build('auto', 'raw.onnx'))"
    told = run(BUILD + program, library, here)
    assert told["error"].startswith("--plugins embed: no plugin computes a part of the ONNX file")
    assert told["auto"]["plugins"] == []


def test_the_commands_tell(library: Path, tiny_engine: Path, here: Path) -> None:
    shutil.copy(tiny_engine, here / "tiny.onnx")
    program = """
from click.testing import CliRunner
from yolact.cli.build import main
from yolact.cli.doctor import main as doctor
def lines(command, *arguments):
    return CliRunner().invoke(command, arguments).output.splitlines()
needing = lines(main, "--engine", "tiny.onnx", "--gpu-arch", "sm_86")
doctor_needing = lines(doctor, "--engine", "yolact.plan")
carrying = lines(main, "--engine", "tiny.onnx", "--gpu-arch", "sm_86", "--plugins", "embed")
tell(needing=needing, carrying=carrying, doctor_needing=doctor_needing, doctor=lines(doctor, "--engine", "yolact.plan"))
"""
    told = run(program, library, here)
    names = ", ".join(PLUGINS)
    advice = "build them with yolact-build-plugins where the plan runs too"
    assert told["needing"][1] == f"with the plugins {names}; {advice}"
    assert told["carrying"][1] == (
        f"with the plugins {names}; the plan contains them, so commands need --allow-host-code to run it"
    )
    assert f"ok  with plugins      {names}, from the library here" in told["doctor_needing"]
    assert f"ok  with plugins      {names}, inside it" in told["doctor"]
    assert any(line.startswith(f"ok  plugins           {library / LIBRARY}, ") for line in told["doctor"])
    assert any(line.startswith("ok  TensorRT for RTX") and line.endswith(names) for line in told["doctor"])


def test_gpus_without_code_in_the_library(library: Path, tiny_engine: Path, here: Path) -> None:
    """Nothing is embedded for them, and what the library that is loaded has code for is known when a plan is opened."""
    shutil.copy(tiny_engine, here / "tiny.onnx")
    shutil.copytree(library, here / "lib")
    (here / "lib" / "library.json").write_text('{"archs": ["sm_89", "sm_120"], "ptx": null}')
    program = """
from click.testing import CliRunner
from yolact.cli.build import main
from yolact.runtime.tensorrt import plan_compatibility
from yolact.runtime.cuda.gpu import Gpu
def embed(*arguments):
    return CliRunner().invoke(main, ["--engine", "tiny.onnx", "--plugins", "embed", *arguments]).output
some, every = embed("--gpu-arch", "sm_89", "--gpu-arch", "sm_86"), embed()
fitting = embed("--gpu-arch", "sm_89")
plan_compatibility.read_gpu = lambda device: Gpu("T4", "sm_75", "13.0")
(here / "lib" / "library.json").unlink()
found = plan_compatibility.Machine.examine(TENSORRT_RTX, 0, plugin_library.PLUGINS)
tell(some=some, every=every, fitting=fitting, code=str(found.plugin_code), plan=Path("yolact.plan").is_file())
"""
    told = run(program, here / "lib", here)
    assert (
        "code for sm_89, sm_120, but not for sm_86; build them here with: yolact-build-plugins --arch " in told["some"]
    )
    assert "the plan is for Ampere and later, and " in told["every"] and "later ones; build them" in told["every"]
    assert "the plan contains them" in told["fitting"] and told["plan"]
    assert told["code"] == "sm_89, sm_120"


def test_loading_is_done_once(library: Path, here: Path) -> None:
    """From any number of threads, and also after the file has gone."""
    program = """
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(8) as pool:
    found = list(pool.map(lambda _: sorted(load_plugins(rtx)), range(32)))
plugin_library.LIBRARY_FOLDER = here / "nowhere"
tell(found=found, later=sorted(load_plugins(rtx)))
"""
    told = run(program, library, here)
    assert told["found"] == [sorted(PLUGINS)] * 32 and told["later"] == sorted(PLUGINS)


def compile_library(target: Path, source: str) -> None:
    if shutil.which("g++") is None:
        pytest.skip(missing.program("g++"))
    target.parent.mkdir(parents=True, exist_ok=True)
    command = ["g++", "-shared", "-fPIC", "-x", "c++", "-", "-o", target]
    subprocess.run(command, input=source, text=True, check=True)


NO_CREATORS = """
extern "C" void *const *getCreators(int &count) { static void *none[1]; count = 0; return none; }
extern "C" void setLoggerFinder(void *) {}
"""
BROKEN = {
    "garbage": (None, True, "invalid ELF header"),
    "no name for the parser": (NO_CREATORS, False, "libtensorrt_rtx.so: cannot open shared object file"),
    "no plugin library": ("", True, "TensorRT gave no reason"),
    "no plugins in it": (NO_CREATORS, True, "TensorRT gave no reason"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_libraries_that_do_not_load(name: str, here: Path) -> None:
    source, named, reason = BROKEN[name]
    if source is None:
        (here / LIBRARY).write_text("garbage" * 100)
    else:
        compile_library(here / LIBRARY, source)
    if named:
        compile_library(here / "rtx" / "libtensorrt_rtx.so", "")
    told = run("try: load_plugins(rtx)\nexcept YolactError as error: tell(error=str(error))", here, here)
    start, _, rest = told["error"].partition(" do not load into TensorRT for RTX ")
    assert start == f"the plugins {here / LIBRARY}" and "\n" not in rest
    assert rest.endswith("; build them again with yolact-build-plugins, or delete that file to go without")
    assert reason in rest


def test_without_a_library(tiny_engine: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugin_library, "LIBRARY_FOLDER", here / "lib")
    assert plugin_library.load_plugins(load_flavour(TENSORRT_RTX)) == frozenset()
    arguments = ["--engine", str(tiny_engine), "--gpu-arch", "sm_86", "--output", "a.plan", "--plugins", "embed"]
    result = CliRunner().invoke(build_main, arguments)
    assert result.exit_code == 1 and list(here.iterdir()) == []
    assert result.stderr == (
        "error: --plugins embed: there is no library to put into the plan; build them here with: yolact-build-plugins\n"
    )


def test_the_doctor_says_how_to_get_them(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugin_library, "LIBRARY_FOLDER", here)
    found = "--  plugins           not built, so TensorRT builds the ONNX functions' bodies; build them here with: "
    assert found + "yolact-build-plugins" in CliRunner().invoke(doctor_main).stdout


RUNS = NO_CREATORS + '#include <cstdio>\nstruct Code { Code() { fclose(fopen("ran", "w")); } } code;'
EMBED = """
import os
from yolact.runtime.tensorrt.plan_file import read_plan_header
from yolact.runtime.tensorrt.plan_opening import _deserialize
from yolact.runtime.tensorrt.log import create, make_logger
logger, module = make_logger(rtx.module), rtx.module
builder = create(rtx, "Builder", logger)
network = builder.create_network(1 << int(module.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
tensor = network.add_input("x", module.float32, (1, 4))
network.mark_output(network.add_activation(tensor, module.ActivationType.RELU).get_output(0))
config = builder.create_builder_config()
config.num_compute_capabilities = 1
config.set_compute_capability(module.ComputeCapability.SM86, 0)
config.plugins_to_serialize = ["libruns.so"]
Path("a.plan").write_bytes(builder.build_serialized_network(network, config))
Path("ran").unlink(missing_ok=True)  # building loads the library too
logger.reason()
def deserialize(trusted):
    try:
        _deserialize(Path("a.plan"), read_plan_header(Path("a.plan")), None, rtx, logger, trusted)
    except YolactError as error:
        return str(error), Path("ran").exists()
    return "", Path("ran").exists()
tell(distrusted=deserialize(False), trusted=deserialize(True))
"""


def test_code_inside_a_plan_runs_only_where_the_user_says_so(here: Path) -> None:
    """TensorRT itself would run it in any plan, and has its own switch for host code off when it does."""
    compile_library(here / "libruns.so", RUNS)
    told = run(EMBED, here, here)
    sentence, ran = told["distrusted"]
    assert not ran and sentence.endswith("(it carries the code of plugins); if you trust it, pass --allow-host-code")
    assert told["trusted"][1]  # so the plan did carry code
