"""Builds TensorRT plans from exported ONNX files. Plans are strongly typed: they compute in exactly the types there."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from yolact.engines.build_options import BuildOptions
from yolact.engines.build_progress import make_monitor
from yolact.engines.network_types import check_precision, check_quantization, engine_types, layer_table, network_types
from yolact.engines.plugin_use import check_embedded, library_to_embed, prepare_plugins
from yolact.engines.timing_cache import TimingCache, cache_key
from yolact.runtime.contract import INPUT_NAME, output_specs
from yolact.runtime.cuda.gpu import Gpu, find_gpu
from yolact.runtime.errors import EngineError, YolactError
from yolact.runtime.metadata import ModelMetadata
from yolact.runtime.onnx.exported_model import ExportedModel
from yolact.runtime.signals import HeldSignals
from yolact.runtime.tensorrt.flavour import TENSORRT, TENSORRT_RTX, TensorRt
from yolact.runtime.tensorrt.log import create, make_logger
from yolact.runtime.tensorrt.plan_file import PlanIdentity, to_network_name
from yolact.runtime.tensorrt.plan_pair import write_pair
from yolact.runtime.wording import printable


@dataclass(frozen=True)
class BuiltPlan:
    """A plan that was built but not written.

    Attributes:
        data: the serialised engine.
        identity: for the sidecar.
        metadata: of the model.
        layers: number of layers of the network by kind and type.
        notes: sentences for the user about faults without consequence for the plan.
    """

    data: bytes
    identity: PlanIdentity
    metadata: ModelMetadata
    layers: Counter[tuple[str, str]]
    notes: tuple[str, ...]

    def save(self, path: Path) -> None:
        """Write the plan and its sidecar, both or neither. Raises YolactError where that fails."""
        with HeldSignals():
            write_pair(path, self.data, self.identity.to_sidecar(self.metadata).encode())


def build_plan(
    model: ExportedModel, options: BuildOptions, tensorrt: TensorRt, *, command: Sequence[str] = ()
) -> BuiltPlan:
    """Build a plan. Progress is shown on stderr where that is a terminal.

    Args:
        model: from `read_exported_model`; its functions are adapted in place.
        options: of the builder.
        tensorrt: from `choose_builder` with the same options.
        command: command and arguments that build this plan again; they are stored in the sidecar.

    Raises:
        UsageError: the options do not fit the file.
        AccuracyError: TensorRT would compute in other types than those of the file.
        EngineError: TensorRT does not accept the file.
        YolactError: the build failed, with TensorRT's reason.
    """
    if model.batch is not None:
        options = options.for_fixed_batch(model.batch)
    gpu = find_gpu()
    with HeldSignals() as signals:  # TensorRT calls back into Python, for progress and messages
        build = _Build(model, options, tensorrt, gpu, signals)
        data = build.run()
        inspected = build.check_engine(data) if _can_inspect(tensorrt, gpu) else {}
    types = inspected or network_types(build.network)
    identity, layers = build.identity(data, types, command), layer_table(build.network)
    return BuiltPlan(data, identity, model.metadata, layers, tuple(build.notes))


def _can_inspect(tensorrt: TensorRt, gpu: Gpu | None) -> bool:
    """Whether the engine can be inspected. TensorRT for RTX chooses kernels only when the engine runs."""
    return gpu is not None and tensorrt.flavour is TENSORRT


class _Build:
    """TensorRT's objects of one build. They must outlive each other in this order: logger, builder, network."""

    def __init__(
        self,
        model: ExportedModel,
        options: BuildOptions,
        tensorrt: TensorRt,
        gpu: Gpu | None,
        signals: HeldSignals,
    ) -> None:
        self._model, self._options, self._tensorrt, self._gpu = model, options, tensorrt, gpu
        self._signals = signals
        self._module: Any = tensorrt.module
        self.notes: list[str] = []
        self._logger = make_logger(self._module)
        self._builder = create(tensorrt, "Builder", self._logger)
        self.network = self._builder.create_network(1 << int(self._module.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        self._parse()
        check_precision(model.metadata.precision, network_types(self.network))
        check_quantization(model.proto, self.network)
        self.network.name = to_network_name(model.metadata)

    def _parse(self) -> None:
        """Fill the network from the ONNX file and check that it keeps the contract."""
        self._model.metadata.check_for_tensorrt()
        prepare_plugins(self._model.proto, self._tensorrt, self._options.plugins)
        parser = self._module.OnnxParser(self.network, self._logger)
        if not parser.parse(self._model.proto.SerializeToString()):
            errors = (parser.get_error(i) for i in range(parser.num_errors))
            reasons = "; ".join(f"{e.desc()} at node {e.node_name()}, {e.node_operator()}" for e in errors)
            raise EngineError(
                f"{self._tensorrt} cannot read the ONNX file ({' '.join(reasons.split())}); files exported with "
                "--functions strip need the plugins (yolact-build-plugins), others should be reported"
            )
        metadata = self._model.metadata
        found = {self.network.get_output(i).name for i in range(self.network.num_outputs)}
        missing = output_specs(metadata.graph, metadata.config, metadata.postprocess).keys() - found
        if missing:
            raise EngineError(f"the ONNX file has no output {', '.join(sorted(missing))}; export it with yolact-export")

    def run(self) -> bytes:
        """The plan. Raises YolactError with TensorRT's reason where the build fails."""
        config = self._configured()
        library = library_to_embed(self._plugins(), self._targets()) if self._options.plugins == "embed" else None
        if library is not None:
            config.plugins_to_serialize = [str(library)]
        cache = self._timing_cache()
        if cache is not None:
            self._note(cache.load_into(config))
        monitor = make_monitor(self._module, "building", self._signals)
        config.progress_monitor = monitor
        plan = self._builder.build_serialized_network(self.network, config)
        monitor.close()
        if plan is None:
            self._fail()
        if cache is not None:
            self._note(cache.store_from(config))
        data = bytes(plan)
        if library is not None:
            check_embedded(data, library, self._tensorrt)
        return data

    def _targets(self) -> tuple[str, ...]:
        """Architectures that the plan will run on; empty for Ampere and everything later."""
        if self._options.gpu_archs or self._options.hardware_compatible or self._tensorrt.flavour is TENSORRT_RTX:
            return self._options.gpu_archs
        return (self._gpu.arch,) if self._gpu is not None else ()

    def _note(self, sentence: str | None) -> None:
        if sentence is not None:
            self.notes.append(sentence)

    def _configured(self) -> Any:
        options, module = self._options, self._module
        config = self._builder.create_builder_config()
        profile = self._builder.create_optimization_profile()
        size = self._model.metadata.config.image_size
        batches = (options.min_batch, options.opt_batch, options.max_batch)
        profile.set_shape(INPUT_NAME, *((batch, size, size, 3) for batch in batches))
        config.add_optimization_profile(profile)
        config.profiling_verbosity = module.ProfilingVerbosity.DETAILED
        if self._tensorrt.flavour is TENSORRT_RTX:  # so that callers can record what they enqueue as a CUDA graph
            config.set_flag(module.BuilderFlag.REQUIRE_USER_ALLOCATION)
        if options.workspace_mib is not None:
            config.set_memory_pool_limit(module.MemoryPoolType.WORKSPACE, options.workspace_mib << 20)
        if options.optimization_level is not None:
            config.builder_optimization_level = options.optimization_level
        if options.version_compatible:
            config.set_flag(module.BuilderFlag.VERSION_COMPATIBLE)
        if options.hardware_compatible:
            config.hardware_compatibility_level = module.HardwareCompatibilityLevel.AMPERE_PLUS
        if options.gpu_archs:
            config.num_compute_capabilities = len(options.gpu_archs)
            for index, arch in enumerate(options.gpu_archs):
                config.set_compute_capability(module.ComputeCapability.__members__[f"SM{arch[3:]}"], index)
        return config

    def _timing_cache(self) -> TimingCache | None:
        """The timing cache; None where the user wants no cache, and for TensorRT for RTX, which times no kernels."""
        if self._options.timing_cache is None or self._tensorrt.flavour is TENSORRT_RTX or self._gpu is None:
            return None
        key = cache_key(self.network, self._tensorrt, " ".join(self._gpu))
        return TimingCache(self._options.timing_cache, key)

    def _fail(self) -> NoReturn:
        reason = self._logger.reason()
        advice = "report this if the options look right"
        if "OutOfMemory" in reason or "out of memory" in reason:
            advice = "give a larger --workspace, or a smaller --max-batch"
        elif "sm75" in reason.lower():
            advice = "TensorRT for RTX builds only fp16 for sm_75: export with --fp16, or give another --gpu-arch"
        elif self._options.workspace_mib is not None:
            advice = "try a larger --workspace, or leave the option out"
        raise YolactError(f"{self._tensorrt} could not build the plan ({reason}); {advice}")

    def check_engine(self, plan: bytes) -> dict[str, int]:
        """The types that the built engine computes in, as far as its inspector tells.

        Raises AccuracyError where they are not the ones asked for.
        """
        runtime = create(self._tensorrt, "Runtime", self._logger)
        runtime.engine_host_code_allowed = self._options.version_compatible or self._options.plugins == "embed"
        engine = runtime.deserialize_cuda_engine(plan)
        if engine is None:
            raise YolactError(f"{self._tensorrt} cannot open the plan it built ({self._logger.reason()}); report this")
        inspector = engine.create_engine_inspector()
        types = engine_types(inspector.get_engine_information(self._module.LayerInformationFormat.JSON))
        check_precision(self._model.metadata.precision, types, int8=self._model.metadata.quantization is not None)
        return types

    def identity(self, plan: bytes, types: dict[str, int], command: Sequence[str]) -> PlanIdentity:
        """The contents of the sidecar."""
        options, gpu = self._options, self._gpu
        built_here = gpu is not None and self._tensorrt.flavour is TENSORRT
        return PlanIdentity(
            flavour=self._tensorrt.flavour.module,
            tensorrt_version=str(self._tensorrt.version),
            cuda_version=gpu.cuda_version if gpu else "",
            gpu_name=gpu.name if gpu and built_here else "",
            gpu_archs=(gpu.arch,) if gpu and built_here else options.gpu_archs,
            precision_asked=self._model.metadata.precision,
            precision_obtained=types,
            min_batch=options.min_batch,
            opt_batch=options.opt_batch,
            max_batch=options.max_batch,
            plugins=self._plugins(),
            version_compatible=options.version_compatible,
            hardware_compatible=options.hardware_compatible,
            size=len(plan),
            plan_sha256=hashlib.sha256(plan).hexdigest(),
            onnx_sha256=self._model.sha256,
            command=tuple(map(printable, command)),
            plugins_embedded=options.plugins == "embed",
        )

    def _plugins(self) -> tuple[str, ...]:
        """Names of the plugins in the network: the operators of the nodes that became plugin layers."""
        operators = {node.name: node.op_type for node in self._model.proto.graph.node}
        layers = (self.network.get_layer(index) for index in range(self.network.num_layers))
        names = (layer.name for layer in layers if layer.type.name.startswith("PLUGIN"))
        return tuple(dict.fromkeys(operators.get(name, name) for name in names))
