"""Plans built for real by TensorRT for RTX, ahead of time, on a machine without a GPU.

That a plan runs is not shown here: running one takes a GPU.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import missing
import onnx
import pytest
from repository import ROOT

from yolact.engines.build_options import BuildOptions
from yolact.engines.builder import BuiltPlan, _Build, build_plan
from yolact.engines.builder_choice import OLDEST_TENSORRT, BuilderMissing, _check_usable, choose_builder
from yolact.engines.plugin_use import fit_functions
from yolact.runtime.config import ModelConfig, PostprocessConfig
from yolact.runtime.contract import input_spec, output_specs
from yolact.runtime.errors import AccuracyError, EngineError, UsageError, YolactError
from yolact.runtime.onnx.exported_model import parse_exported_model, read_exported_model
from yolact.runtime.signals import HeldSignals
from yolact.runtime.tensorrt.flavour import (
    TENSORRT,
    TENSORRT_RTX,
    TensorRt,
    Version,
    load_flavour,
    registered_plugins,
)
from yolact.runtime.tensorrt.plan_file import (
    from_network_name,
    read_plan_header,
    read_sidecar,
    sidecar_of,
    to_network_name,
)
from yolact.training.models.configs import CONFIGS

trt = pytest.importorskip("tensorrt_rtx", reason=missing.TENSORRT_RTX)

SM86 = BuildOptions(gpu_archs=("sm_86",), plugins="off")  # plugins: test_plugin_loading.py


@pytest.fixture(scope="module")
def rtx() -> TensorRt:
    return load_flavour(TENSORRT_RTX)


def build(path: Path, rtx: TensorRt, options: BuildOptions = SM86) -> BuiltPlan:
    return build_plan(read_exported_model(path), options, rtx, command=("yolact-build", "--engine", "a.onnx"))


CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "yolact_demo, raw": ("yolact_demo", {}, {"graph": "raw"}),
    "yolact_demo": ("yolact_demo", {}, {}),
    "yolact_demo, cross-class, opset 21": ("yolact_demo", {"nms": "cross-class"}, {"opset": 21}),
    "yolact_demo, inlined": ("yolact_demo", {}, {"inline_functions": True}),
    "yolact_plus_resnet50 in fp16": ("yolact_plus_resnet50", {}, {"precision": "fp16"}),
    "yolact_demo in bf16": ("yolact_demo", {}, {"precision": "bf16"}),
}
TYPES = {"fp32": "FLOAT", "fp16": "HALF", "bf16": "BF16"}
WEIGHT_BYTES = {"fp32": 4, "fp16": 2, "bf16": 2}


@pytest.mark.parametrize("name", CASES)
def test_builds_what_the_file_says(
    name: str, rtx: TensorRt, tmp_path: Path, export_seeded: Callable[..., Path]
) -> None:
    config_name, settings, options = CASES[name]
    config = replace(CONFIGS[config_name], image_size=256, fpn_channels=64)
    postprocess = PostprocessConfig(**settings)
    path = export_seeded(config, tmp_path / "model.onnx", postprocess, **options)
    built = build(path, rtx, replace(SM86, max_batch=4))
    precision = options.get("precision", "fp32")

    proto = onnx.load(path)
    convolutions = sum(node.op_type == "Conv" for node in proto.graph.node)
    assert built.identity.precision_asked == precision
    assert built.identity.precision_obtained == {TYPES[precision]: convolutions}
    assert {dtype for kind, dtype in built.layers if kind == "SOFTMAX"} <= {"FLOAT"}
    # A real plan holds the weights, in the type of the network.
    weights = sum(len(t.raw_data) for t in proto.graph.initializer if t.name.endswith("weight"))
    parameters = weights / WEIGHT_BYTES[precision]
    assert parameters * WEIGHT_BYTES[precision] < len(built.data)
    assert (built.metadata.config, built.metadata.postprocess) == (config, postprocess)


def test_the_network_keeps_the_contract(rtx: TensorRt, tiny_engine: Path, tiny_raw_engine: Path) -> None:
    """Parsed here once more, by hand: types and shapes as in the contract, the batch dynamic."""
    for path, graph in ((tiny_engine, "full"), (tiny_raw_engine, "raw")):
        logger = trt.Logger(trt.Logger.ERROR)
        builder = trt.Builder(logger)
        network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        parser = trt.OnnxParser(network, logger)
        assert parser.parse(path.read_bytes())
        model = read_exported_model(path).metadata
        found = {
            tensor.name: (trt.nptype(tensor.dtype), tuple(tensor.shape))
            for tensor in (*map(network.get_output, range(network.num_outputs)), network.get_input(0))
        }
        specs = {"images": input_spec(model.config), **output_specs(graph, model.config, model.postprocess)}
        assert found == {name: (spec.dtype, (-1, *spec.shape)) for name, spec in specs.items()}


def test_plan_and_sidecar(rtx: TensorRt, tiny_engine: Path, tmp_path: Path) -> None:
    path = tmp_path / "tiny.plan"
    built = build(tiny_engine, rtx, replace(SM86, gpu_archs=("sm_86", "sm_89"), min_batch=2, opt_batch=3, max_batch=5))
    built.save(path)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["tiny.plan", "tiny.plan.json"]
    data = path.read_bytes()
    assert data[:4] == b"vtrt"  # TensorRT's own first bytes: any tool opens it
    header = read_plan_header(path)
    assert header is not None and header.flavour is TENSORRT_RTX and header.version == rtx.version
    identity, metadata = read_sidecar(sidecar_of(path))
    assert metadata == read_exported_model(tiny_engine).metadata
    assert (identity.flavour, identity.tensorrt_version) == ("tensorrt_rtx", trt.__version__)
    assert (identity.gpu_archs, identity.plugins) == (("sm_86", "sm_89"), ())
    assert (identity.min_batch, identity.opt_batch, identity.max_batch) == (2, 3, 5)
    assert (identity.size, identity.plan_sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert identity.onnx_sha256 == hashlib.sha256(tiny_engine.read_bytes()).hexdigest()
    assert identity.command_line == "yolact-build --engine a.onnx"
    # The short form survives in the plan itself, for when the sidecar is lost.
    name = to_network_name(metadata)
    assert name.encode() in data and from_network_name(name, "") == metadata


def test_a_fixed_batch_stays_fixed(
    rtx: TensorRt, tiny_config: ModelConfig, tmp_path: Path, export_seeded: Callable[..., Path]
) -> None:
    path = export_seeded(tiny_config, tmp_path / "three.onnx", PostprocessConfig(max_detections=20), batch=3)
    identity = build(path, rtx).identity
    assert (identity.min_batch, identity.opt_batch, identity.max_batch) == (3, 3, 3)
    for batches in ({"max_batch": 4}, {"max_batch": 3}, {"min_batch": 2, "opt_batch": 2, "max_batch": 2}):
        with pytest.raises(UsageError, match="batches of exactly 3"):
            build(path, rtx, replace(SM86, **batches))
    assert build(path, rtx, replace(SM86, min_batch=3, opt_batch=3, max_batch=3)).identity.max_batch == 3


def test_without_architectures_every_one_is_targeted(rtx: TensorRt, tiny_engine: Path) -> None:
    identity = build(tiny_engine, rtx, replace(SM86, gpu_archs=())).identity
    assert (identity.gpu_archs, identity.gpu_name) == ((), "")


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_a_precision_that_is_not_in_the_file(rtx: TensorRt, tiny_engine: Path, precision: Any) -> None:
    model = read_exported_model(tiny_engine)
    lying = model._replace(metadata=replace(model.metadata, precision=precision))
    with pytest.raises(
        AccuracyError, match=rf"asked for {precision}, but TensorRT would run \d+ convolutions in fp32; nothing"
    ):
        build_plan(lying, SM86, rtx)


def unknown_operator(proto: onnx.ModelProto) -> None:
    next(node for node in proto.graph.node if node.op_type == "Conv").op_type = "Convolve"


def lost_output(proto: onnx.ModelProto) -> None:
    del proto.graph.output[-1]


def stripped(proto: onnx.ModelProto) -> None:
    del proto.functions[:]


REFUSED = {
    "operator": (unknown_operator, "cannot read the ONNX file .*Convolve"),
    "output": (lost_output, "has no output masks"),
    "stripped": (stripped, "cannot read the ONNX file .*--functions strip need the plugins"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_files_that_tensorrt_refuses(rtx: TensorRt, tiny_engine: Path, name: str) -> None:
    change, message = REFUSED[name]
    model = read_exported_model(tiny_engine)
    change(model.proto)
    with pytest.raises(EngineError, match=message):
        build_plan(model, SM86, rtx)


FAILING = {
    "workspace": (replace(SM86, workspace_mib=1, max_batch=64), "OutOfMemory.*larger --workspace"),
    "turing": (replace(SM86, gpu_archs=("sm_75",)), "SM75.*export with --fp16"),
}


@pytest.mark.parametrize("name", FAILING)
def test_builds_that_fail_say_why(rtx: TensorRt, tiny_engine: Path, name: str) -> None:
    options, message = FAILING[name]
    with pytest.raises(YolactError, match=message) as caught:
        build(tiny_engine, rtx, options)
    assert caught.value.exit_code == 1 and "\n" not in str(caught.value)


def test_options_reach_tensorrt(rtx: TensorRt, tiny_engine: Path) -> None:
    """Asked back from TensorRT's own configuration and profile."""
    options = BuildOptions(("sm_86", "sm_120"), min_batch=2, opt_batch=3, max_batch=5, workspace_mib=64)
    build = _Build(read_exported_model(tiny_engine), options, rtx, None, HeldSignals())
    profiles = []
    create = build._builder.create_optimization_profile

    class Builder:
        create_builder_config = staticmethod(build._builder.create_builder_config)

        @staticmethod
        def create_optimization_profile() -> Any:
            profiles.append(create())
            return profiles[-1]

    build._builder = Builder
    config = build._configured()
    assert [tuple(shape) for shape in profiles[0].get_shape("images")] == [(n, 160, 160, 3) for n in (2, 3, 5)]
    assert config.get_memory_pool_limit(trt.MemoryPoolType.WORKSPACE) == 64 * 2**20
    archs = [config.get_compute_capability(index) for index in range(config.num_compute_capabilities)]
    assert archs == [trt.ComputeCapability.SM86, trt.ComputeCapability.SM120]
    assert config.profiling_verbosity == trt.ProfilingVerbosity.DETAILED


class Refusing:
    """Bindings of a TensorRT that cannot start: pybind turns its null pointers into TypeErrors."""

    ILogger = trt.ILogger

    @staticmethod
    def Builder(logger: Any) -> Any:
        logger.log(trt.ILogger.ERROR, "CUDA initialization failure with error: 35")
        raise TypeError("pybind11::init(): factory function returned nullptr")

    @staticmethod
    def get_plugin_registry() -> None:
        return None


def test_a_tensorrt_that_cannot_start(tiny_engine: Path) -> None:
    broken = TensorRt(TENSORRT_RTX, Refusing, Version(10, 3))
    with pytest.raises(EngineError, match=r"cannot start here \(CUDA initialization failure with error: 35\)"):
        build_plan(read_exported_model(tiny_engine), BuildOptions(), broken)
    assert registered_plugins(broken, ["YolactFastNms"]) == frozenset()


def test_without_a_home_there_is_no_cache(tmp_path: Path) -> None:
    """As for a user without an entry in a container: importing and building must go on."""
    program = (
        "import pathlib\n"
        "def homeless(): raise RuntimeError('Could not determine home directory.')\n"
        "pathlib.Path.home = homeless\n"
        "from yolact.cli.export import main\n"
        "main(['--help'])\n"
    )
    environment = {key: value for key, value in os.environ.items() if key != "XDG_CACHE_HOME"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "--timing-cache" in done.stdout


OPTIONS = {
    "arch": ({"gpu_archs": ("86",)}, "written like sm_86, got '86'"),
    "arch with a letter": ({"gpu_archs": ("sm_90a",)}, "got 'sm_90a'"),
    "no batch": ({"min_batch": 0}, "1 <= min <= opt <= max"),
    "opt below min": ({"min_batch": 2, "max_batch": 4}, "min 2, opt 1, max 4"),
    "max below opt": ({"opt_batch": 2}, "opt 2, max 1"),
    "workspace": ({"workspace_mib": 0}, "must be 1 to 1048576 MiB, got 0"),
    "huge workspace": ({"workspace_mib": 1 << 21}, "must be 1 to 1048576 MiB"),
    "huge batch": ({"max_batch": 3_000_000_000}, "max <= 4096"),
    "level": ({"optimization_level": 6}, "must be 0 to 5, got 6"),
    "plugins": ({"plugins": "maybe"}, "must be auto, off, embed, got 'maybe'"),
    "negative level": ({"optimization_level": -1}, "must be 0 to 5, got -1"),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_rejected_options(name: str) -> None:
    values, message = OPTIONS[name]
    with pytest.raises(UsageError, match=message):
        BuildOptions(**values)


NOT_OURS = {
    "nothing": (b"", "carries no YOLACT metadata"),
    "text": (b"hello", "is no ONNX file|carries no YOLACT metadata"),
    "half a file": (lambda data: data[: len(data) // 2], "is no ONNX file, or a damaged one"),
    "a plan": (lambda _: b"vtrt" + bytes(60), "is a TensorRT plan already"),
}


@pytest.mark.parametrize("name", NOT_OURS)
def test_files_that_are_no_export(tiny_engine: Path, tmp_path: Path, name: str) -> None:
    data, message = NOT_OURS[name]
    (tmp_path / "a.onnx").write_bytes(data(tiny_engine.read_bytes()) if callable(data) else data)
    with pytest.raises(EngineError, match=message):
        read_exported_model(tmp_path / "a.onnx")


def test_an_input_that_is_missing(tiny_engine: Path) -> None:
    proto = onnx.load(tiny_engine)
    proto.graph.input[0].name = "pixels"
    with pytest.raises(EngineError, match="has no input 'images'"):
        parse_exported_model(proto.SerializeToString(), "a.onnx")


def test_the_builder_without_a_gpu_is_the_one_ahead_of_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing() -> None:
        raise EngineError("there is no GPU")

    monkeypatch.setattr("yolact.engines.builder_choice.read_gpu", nothing)
    assert choose_builder(BuildOptions()).flavour is TENSORRT_RTX
    assert choose_builder(SM86, "tensorrt_rtx").flavour is TENSORRT_RTX


CHOICES = {
    "level": (BuildOptions(optimization_level=3), "tensorrt_rtx", UsageError, "--optimization-level is for TensorRT"),
    "unknown architecture": (BuildOptions(("sm_42",)), None, UsageError, "builds for sm_75, .*got --gpu-arch sm_42"),
    "version compatible": (BuildOptions(version_compatible=True), "tensorrt_rtx", UsageError, "is for TensorRT"),
    "hardware compatible": (BuildOptions(hardware_compatible=True), "tensorrt_rtx", UsageError, "is for TensorRT"),
}


@pytest.mark.parametrize("name", CHOICES)
def test_rejected_choices(name: str) -> None:
    options, module, error, message = CHOICES[name]
    with pytest.raises(error, match=message):
        choose_builder(options, module)


def test_nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    with pytest.raises(BuilderMissing, match=r"^neither TensorRT(?: for RTX)? nor TensorRT") as caught:
        choose_builder(BuildOptions())
    assert caught.value.exit_code == 1 and str(caught.value).count("pip install") == 1


class Creator(NamedTuple):
    name: str
    plugin_version: str
    plugin_namespace: str


class Registry:
    """A plugin registry in which of ours only YolactFastNms is registered."""

    all_creators = (
        Creator("YolactMaskAssembly", "2", "yolact"),
        Creator("YolactFastNms", "1", "yolact"),
        Creator("YolactMaskAssembly", "1", ""),
    )


class Module:
    @staticmethod
    def get_plugin_registry() -> Registry:
        return Registry()


@pytest.mark.parametrize(
    ("version", "kept"),
    [
        (Version(10, 3), {"YolactMaskAssembly"}),
        (Version(10, 6), {"YolactMaskAssembly"}),
        (Version(10, 7), {"YolactFastNms", "YolactMaskAssembly"}),
        (Version(11, 4), {"YolactFastNms", "YolactMaskAssembly"}),
    ],
)
def test_bodies_go_where_they_would_win_over_plugins(tiny_engine: Path, version: Version, kept: set[str]) -> None:
    proto = onnx.load(tiny_engine)
    fit_functions(proto, TensorRt(TENSORRT, Module, version))
    assert {function.name for function in proto.functions} == kept


def test_the_oldest_tensorrt_is_the_one_that_the_package_asks_for() -> None:
    before = Version(OLDEST_TENSORRT.major, OLDEST_TENSORRT.minor - 1)
    with pytest.raises(
        BuilderMissing, match=rf"{before.major}\.{before.minor}\S* is too old, 10\.3 or later is needed"
    ):
        _check_usable(TensorRt(TENSORRT, object(), before))
    assert f'"tensorrt>={OLDEST_TENSORRT.major}.{OLDEST_TENSORRT.minor}"' in (ROOT / "pyproject.toml").read_text()
