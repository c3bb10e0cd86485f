"""Opens the two sides of a comparison, and sees that they can be compared."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from yolact.diff.layer_diff import HEADS
from yolact.diff.sides import OnnxSubject, PlanSubject, Subject, TorchSubject
from yolact.runtime.config import PostprocessConfig
from yolact.runtime.engine import DeviceChoice
from yolact.runtime.engine_files import open_engine, read_metadata
from yolact.runtime.errors import EngineError, UsageError, YolactError
from yolact.runtime.tensorrt.plan_file import read_plan_header
from yolact.runtime.wording import list_some

if TYPE_CHECKING:
    from yolact.runtime.config import ModelConfig


@dataclass(frozen=True)
class OpenOptions:
    """How files are opened.

    Attributes:
        device: of both; None: a plan on the first GPU, everything else on the CPU.
        config_name: of checkpoints; None: that of the other side where it is an engine file, else from the file name or
            the tensors.
        metadata_file, allow_host_code: for plans, see `engine_files.open_engine`.
    """

    device: DeviceChoice | None = None
    config_name: str | None = None
    metadata_file: Path | None = None
    allow_host_code: bool = False


def open_subjects(tested: Path, reference: Path, options: OpenOptions) -> tuple[Subject, Subject]:
    """Open two files, each by its kind: a checkpoint by its suffix, else as `open_engine` does.

    Raises:
        EngineError: a file is missing, is no such file, or cannot run here.
        UsageError: options for another kind of file.
        YolactError: a checkpoint that does not fit, or a library is missing.
    """
    opened: dict[Path, Subject] = {}
    config = None
    try:
        for path in sorted((tested, reference), key=_is_checkpoint):  # engine files know what a checkpoint may not
            if _is_checkpoint(path):
                opened[path] = _open_checkpoint(path, config, options)
            else:
                opened[path] = _open(path, options)
            config = opened[path].engine.metadata.config
    except BaseException:
        for subject in opened.values():
            subject.engine.close()
        raise
    if options.metadata_file is not None and not any(isinstance(one, PlanSubject) for one in opened.values()):
        raise UsageError("--metadata is for TensorRT plans; other files have their metadata inside")
    return opened[tested], opened[reference]


def _is_checkpoint(path: Path) -> bool:
    return path.suffix == ".pth"


def _open(path: Path, options: OpenOptions) -> Subject:
    if not path.is_file() or read_plan_header(path) is None:
        return _open_onnx(path, options.device)
    engine = open_engine(
        path,
        device=options.device,
        metadata_file=options.metadata_file,
        allow_host_code=options.allow_host_code,
    )
    return PlanSubject(path, engine)


def _open_checkpoint(path: Path, config: ModelConfig | None, options: OpenOptions) -> TorchSubject:
    from yolact.training.models.weights import check_torch, load_weights

    check_torch()
    import torch

    from yolact.training.models.checkpoints import load_checkpoint

    device = options.device or DeviceChoice("cpu")
    if device.kind == "tensorrt":
        raise UsageError(f"{path} is a checkpoint, which runs on cpu or cuda, got {device}")
    try:
        torch.zeros(1, device=str(device))
    except (RuntimeError, AssertionError) as error:  # PyTorch without CUDA raises the latter
        reason = str(error).partition("\n")[0]
        raise UsageError(f"--device {device}: PyTorch cannot use it ({reason}); choose cpu") from None
    if options.config_name is not None or config is None:
        model = load_weights(path, options.config_name)
    else:
        model = load_checkpoint(path, config, config.class_names)
    return TorchSubject(path, model.to(str(device)), PostprocessConfig())


def _open_onnx(path: Path, device: DeviceChoice | None) -> OnnxSubject:
    try:
        import onnx
    except ModuleNotFoundError:
        raise YolactError("looking into ONNX files needs onnx; install it with: pip install 'yolact[diff]'") from None
    on_cpu = device is None or device.kind == "cpu"
    if path.is_file() and path.suffix == ".onnx" and on_cpu and read_metadata(path).precision == "bf16":
        from yolact.export.half_emulation import emulate_half

        proto = emulate_half(onnx.load(path))  # ONNX Runtime's CPU has no bf16
        with tempfile.TemporaryDirectory() as folder:
            emulated = Path(folder) / "emulated.onnx"
            onnx.save(proto, emulated)
            engine = open_engine(emulated, device=device)
        return OnnxSubject(path, engine, proto, device, is_emulated=True)
    engine = open_engine(path, device=device)
    return OnnxSubject(path, engine, onnx.load(path), device)


def shared_names(tested: Subject, reference: Subject, *, layers: bool) -> list[str]:
    """Heads, or all layers and the heads, that both have, in network order.

    Raises:
        UsageError: layers of a plan.
        EngineError: layers of files that have none in common.
    """
    names = [name for name in reference.tensors if name in tested.tensors]
    if not layers:
        return [name for name in names if name in HEADS]
    for subject in (tested, reference):
        if isinstance(subject, PlanSubject):
            raise UsageError(f"{subject.path} is a TensorRT plan, which cannot be looked into; leave out --layers")
    names = [name for name in names if tested.tensors[name] or reference.tensors[name]]
    if set(names) <= set(HEADS):
        raise EngineError(
            f"{tested.path} and {reference.path} share no layers; they are different networks, or another tool renamed "
            "the tensors of one: export both with yolact-export"
        )
    return names


def check_comparable(tested: Subject, reference: Subject) -> None:
    """Raise EngineError where the two see images of other sizes or know other classes."""
    a, b = tested.engine.metadata.config, reference.engine.metadata.config
    if a.image_size != b.image_size:
        raise EngineError(
            f"{tested.path} sees {a.image_size}x{a.image_size} pixels, {reference.path} {b.image_size}x{b.image_size}; "
            "compare files exported with the same image size"
        )
    if a.class_names != b.class_names:
        raise EngineError(
            f"{tested.path} knows {len(a.class_names)} classes ({list_some(a.class_names, 3)}), {reference.path} "
            f"{len(b.class_names)} ({list_some(b.class_names, 3)}); compare files of the same model"
        )
    fixed = [subject.engine.min_batch for subject in (tested, reference)]
    largest = [subject.engine.max_batch for subject in (tested, reference)]
    if max(fixed) > min(size or max(fixed) for size in largest):
        raise EngineError(
            f"{tested.path} and {reference.path} are made for different batches ({', '.join(map(str, fixed))}); "
            "export one of them for any batch"
        )


def share_settings(tested: Subject, reference: Subject) -> str | None:
    """Give a side without post-processing of its own the other's; a warning where both have their own and differ."""
    ours, theirs = tested.engine.metadata, reference.engine.metadata
    built_in = [_has_own_settings(tested), _has_own_settings(reference)]
    if all(built_in):
        if ours.postprocess != theirs.postprocess:
            return "the two files were exported with different post-processing; detections differ for that alone"
    elif built_in[0]:
        reference.engine.metadata = replace(theirs, postprocess=ours.postprocess)
    else:
        tested.engine.metadata = replace(ours, postprocess=theirs.postprocess)
    return None


def _has_own_settings(subject: Subject) -> bool:
    return not isinstance(subject, TorchSubject) and subject.engine.metadata.graph == "full"
