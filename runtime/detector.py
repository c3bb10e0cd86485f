"""The runtime's front door: images in, detections out, on any kind of engine."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import partial
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from yolact.runtime.config import PostprocessConfig
from yolact.runtime.detection_stream import DetectionStream, StreamSource, load_image
from yolact.runtime.detections import Detections, in_image
from yolact.runtime.engine import ComputePrecision, DeviceChoice, Engine, EngineOptions, ImageEngine
from yolact.runtime.engine_files import open_engine
from yolact.runtime.errors import EngineError, UsageError, YolactError
from yolact.runtime.fields import whole
from yolact.runtime.images.arrays import Image
from yolact.runtime.images.preprocess import Preprocessor, fill_batch
from yolact.runtime.metadata import ModelMetadata
from yolact.runtime.model_names import is_checkpoint, parse_name
from yolact.runtime.selection import Selection
from yolact.runtime.wording import count_noun, list_some, printable

if TYPE_CHECKING:
    from yolact.runtime.cuda.device_detections import DeviceDetections

_Source = Image | str | PathLike[str]


class Detector:
    """Finds instances in images with an exported model.

    Examples:
        >>> with Detector.open("yolact.onnx") as detector:
        ...     print(detector("photo.jpg").select(score_threshold=0.15))

    A detector that was opened from a file can be pickled and sent to other processes, which open the file again.

    Attributes:
        sends_files: whether image files are decoded elsewhere, so that it is better to pass names than pixels.
    """

    sends_files = False

    def __init__(self, engine: Engine) -> None:
        """Wrap an opened engine; use `Detector.open` for a file. Raises TypeError for anything else."""
        if not hasattr(engine, "detect"):
            raise TypeError(f"expected an opened engine, got {type(engine).__name__}; open a file with Detector.open")
        self._engine: Engine | None = engine
        self._image_engine = engine if isinstance(engine, ImageEngine) else None
        self._preprocess = Preprocessor(engine.metadata.config.image_size)
        self._reopen: partial[Any] | None = None
        self._metadata: ModelMetadata = engine.metadata

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        postprocess: PostprocessConfig | None = None,
        device: str | None = None,
        threads: int | None = None,
        metadata_file: str | Path | None = None,
        allow_host_code: bool = False,
        precision: ComputePrecision = "file",
        throughput: bool = False,
    ) -> Detector:
        """Load an engine file, or weights, which are exported once into the user's cache.

        Args:
            path: an ONNX file written by yolact-export, or a TensorRT plan built from one; or a checkpoint, or the name
                of a repository on Hugging Face such as ``dbolya/yolact-resnet50``, which need the extras ``export`` and
                ``hub`` the first time. These steps are logged.
            postprocess: NMS kind and limits for a raw graph instead of those it was exported with.
            device: ``cpu``, ``cuda``, ``cuda:1``, or, for an ONNX file, ``tensorrt`` (ONNX Runtime's provider),
                ``openvino`` (OpenVINO on the CPU, which needs the extra ``openvino``), ``openvino:GPU`` or
                ``openvino:NPU``. By default an ONNX file runs on the CPU and a plan on the first GPU.
            threads: CPU threads in all for an ONNX file; None for one per physical core.
            metadata_file: for a plan without its sidecar, the ONNX file it was built from.
            allow_host_code: let TensorRT run code that the plan carries. Only for plans you trust.
            precision: ``file`` computes at least as exactly as the file says; ``auto``, for OpenVINO alone, computes in
                the precision that is quickest on the device, which is bfloat16 on a CPU that has it.
            throughput: for `stream` with many images: ONNX Runtime on a CPU then computes two at once on its
                threads, which is quicker in all and takes more memory. Other devices do the same either way.

        Raises:
            EngineError: the file is missing, is no such model, does not keep the contract, or cannot run here.
            UsageError: `postprocess` was given for a full graph, which has its own built in; `threads` is less than 1
                or the device is unknown, not available, or for the other kind of file; `precision` is unknown or for
                another device.
        """
        choice = None if device is None else DeviceChoice.parse(device)
        beside = None if metadata_file is None else Path(metadata_file)
        options = EngineOptions(choice, beside, allow_host_code, precision, threads, throughput)
        path = _find_engine_file(path, choice)
        engine = open_engine(path, options)
        if postprocess is not None:
            try:
                engine.set_postprocess(postprocess)
            except UsageError as error:
                engine.close()
                raise UsageError(f"{path}: {error}") from None
        detector = cls(engine)
        detector._reopen = partial(
            cls.open,
            path.absolute(),  # another process may run in another folder
            postprocess=postprocess,
            device=device,
            threads=threads,
            metadata_file=beside and beside.absolute(),
            allow_host_code=allow_host_code,
            precision=precision,
            throughput=throughput,
        )
        return detector

    @property
    def engine(self) -> Engine:
        """The engine that runs the network. Raises EngineError where the detector was closed."""
        if self._engine is None:
            raise EngineError("this detector was closed; open the engine again")
        return self._engine

    @property
    def metadata(self) -> ModelMetadata:
        """The model and its post-processing; known of a closed detector too."""
        return self._metadata

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names that `Detections.class_ids` index."""
        return self.metadata.config.class_names

    @property
    def max_batch(self) -> int | None:
        """The number of images that run as one batch; None where any number will do, or the detector was closed."""
        return self._engine.max_batch if self._engine else None

    @property
    def in_flight(self) -> int:
        """Batches that are worth beginning at once. Where the CPU computes, as many are read or wait to be taken."""
        return self.engine.streams * (1 if self._image_engine else 2)

    @overload  # a text is a sequence of texts too, but the first that fits counts
    def __call__(  # type: ignore[overload-overlap]
        self,
        images: _Source,
        *,
        score_threshold: float | None = None,
        top_k: int | None = None,
        class_ids: Collection[int] | None = None,
    ) -> Detections: ...

    @overload
    def __call__(
        self,
        images: Sequence[_Source],
        *,
        score_threshold: float | None = None,
        top_k: int | None = None,
        class_ids: Collection[int] | None = None,
    ) -> list[Detections]: ...

    def __call__(
        self,
        images: _Source | Sequence[_Source],
        *,
        score_threshold: float | None = None,
        top_k: int | None = None,
        class_ids: Collection[int] | None = None,
    ) -> Detections | list[Detections]:
        """Detect instances.

        Args:
            images: one image, (H, W, 3) uint8 BGR or the name of a file as `read_image` reads it; or a list of them in
                any sizes. A list runs as one batch, or in batches of the largest size the engine file takes.
            score_threshold: chooses detections as `Detections.select` does, which need not be called then. A plan on a
                GPU makes the masks of these detections only.
            top_k: likewise.
            class_ids: likewise.

        Returns:
            Detections in pixels of each original image, best first; a list for a list.

        Raises:
            ImageError: an array is no such image, or a file cannot be read as one.
            EngineError: the detector was closed.
            TypeError, ValueError: an argument is not as `Detections.select` says.
        """
        wanted = _selection(score_threshold, top_k, class_ids)
        if not isinstance(images, (list, tuple)):  # one image, or no image at all, which the preprocessor reports
            return self._detect_batch([images], wanted)[0]  # type: ignore[list-item]
        return self._detect_all(images, wanted)

    def on_device(
        self,
        images: Sequence[_Source],
        *,
        score_threshold: float | None = None,
        top_k: int | None = None,
        class_ids: Collection[int] | None = None,
    ) -> list[DeviceDetections]:
        """As a call with a list, with results that stay on the GPU: boxes, scores, classes and bits of masks.

        Examples:
            >>> (found,) = detector.on_device(["photo.jpg"], score_threshold=0.15)
            >>> boxes = torch.from_dlpack(found.boxes)  # or cupy.from_dlpack(found.boxes), without a copy

        Raises:
            UsageError: this is no plan of a full graph, or the kernels of yolact-build-plugins are missing.
        """
        wanted, engine = _selection(score_threshold, top_k, class_ids), self.engine
        finder = self._image_engine
        if finder is None:
            raise UsageError(f"results stay on the GPU with a TensorRT plan, and this engine runs on {engine.device}")
        batches = ([self._load(source) for source in batch] for batch in self._split(images))
        return [found for batch in batches for found in finder.find_on_device(batch, wanted)]

    def stream(
        self,
        images: Iterable[StreamSource],
        in_flight: int | None = None,
        *,
        batch_size: int = 1,
        score_threshold: float | None = None,
        top_k: int | None = None,
        class_ids: Collection[int] | None = None,
    ) -> DetectionStream:
        """Detect instances in many images, with batches in flight.

        Examples:
            >>> with detector.stream(paths, batch_size=8, score_threshold=0.15) as found:
            ...     for path, detections in zip(paths, found):
            ...         print(path, detections)

        On a plan `in_flight` batches run at once, each in a context of its own: one is read and uploaded while another
        is in the network. On an ONNX file, whose network keeps the CPU busy by itself, images are read ahead;
        where the file was opened for `throughput`, two batches are computed at once.

        Args:
            images: images or names of files, as for a call, or functions that read one. They are asked for when their
                turn is near, in this thread, and read in others.
            in_flight: batches that were begun and not yet yielded; memory grows with it. None for `Detector.in_flight`.
            batch_size: images in a batch; the last may have fewer.
            score_threshold: as for a call.
            top_k: as for a call.
            class_ids: as for a call.

        Returns:
            An iterator over the Detections of each image, in order. An image's error is raised in its turn, and the
            image after it can be asked for all the same.

        Raises:
            EngineError: the detector was closed.
            TypeError, ValueError: `images` is one image, a number is out of range, or an argument is not as
                `Detections.select` says.
        """
        if isinstance(images, (str, PathLike)) or (isinstance(images, np.ndarray) and images.ndim < 4):
            raise TypeError(f"expected several images, got one {type(images).__name__}; call the detector with it")
        wanted = _selection(score_threshold, top_k, class_ids)
        in_flight = self.in_flight if in_flight is None else whole("in_flight", in_flight, 1, 64)
        streams = in_flight if self._image_engine else min(in_flight, self.engine.streams)
        return DetectionStream(
            partial(self._detect_all, wanted=wanted),
            images,
            batch_size=whole("batch_size", batch_size, 1, 1 << 16),
            in_flight=in_flight,
            streams=streams if self._image_engine or streams > 1 else None,
            load=self._load,
        )

    def _detect_all(self, images: Sequence[_Source], wanted: Selection | None) -> list[Detections]:
        return [found for batch in self._split(images) for found in self._detect_batch(batch, wanted)]

    def _split(self, images: Sequence[_Source]) -> Iterator[Sequence[_Source]]:
        """Batches of the largest size that the engine takes."""
        size = self.max_batch or max(len(images), 1)
        return (images[start : start + size] for start in range(0, len(images), size))

    def _detect_batch(self, sources: Sequence[_Source], wanted: Selection | None) -> list[Detections]:
        engine = self.engine
        images = [self._load(source) for source in sources]
        if self._image_engine is not None and self._image_engine.takes_images:
            return self._image_engine.find(images, wanted)
        batch = fill_batch(self._preprocess(images), engine.min_batch)
        found = [
            in_image(detections, (image.shape[0], image.shape[1]), self.class_names)
            for detections, image in zip(engine.detect(batch)[: len(images)], images, strict=True)
        ]
        return found if wanted is None else [one.select_by(wanted) for one in found]

    def _load(self, source: StreamSource) -> Any:
        """The engine's input for a source: the image, checked. Raises ImageError."""
        return load_image(source)

    def __repr__(self) -> str:
        source = "an engine" if self._reopen is None else str(self._reopen.args[0])
        if self._engine is None:
            return printable(f"<Detector: {source}, closed>")
        classes = count_noun(len(self.class_names), "class")
        names = list_some(self.class_names, 3)
        return printable(f"<Detector: {source} on {self._engine.device}, {classes} ({names})>")

    def __reduce__(self) -> tuple[partial[Detector], tuple[()]]:
        if self._reopen is None:
            raise EngineError(
                "this detector was made from an engine object, so no other process can open it again; "
                "make it with Detector.open to pickle it"
            )
        self.engine  # noqa: B018  a closed one is reported
        return self._reopen, ()

    def close(self) -> None:
        """Free the engine. Calling it again does nothing."""
        if self._engine is not None:
            self._engine.close()
        self._engine = self._image_engine = None

    def __enter__(self) -> Detector:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _find_engine_file(source: str | Path, device: DeviceChoice | None) -> Path:
    """The file itself, or the one that weights are exported to. Raises EngineError or UsageError."""
    path = Path(source)
    repository = None if path.exists() else parse_name(str(source))
    if repository is None and not (is_checkpoint(path) and path.is_file()):
        return path
    from yolact.hub.opening import engine_file

    try:
        return engine_file(repository or path, device)
    except (EngineError, UsageError):
        raise
    except YolactError as error:
        raise EngineError(str(error)) from error


def _selection(score_threshold: float | None, top_k: int | None, class_ids: Collection[int] | None) -> Selection | None:
    """None where nothing is asked for: then all detections are wanted, as the network ranks them."""
    if score_threshold is None and top_k is None and class_ids is None:
        return None
    return Selection(0.0 if score_threshold is None else score_threshold, top_k, class_ids)
