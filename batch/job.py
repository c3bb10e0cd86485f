"""A batch job, from its request to its manifest: workers on Ray do the parts that are not done yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from yolact.batch.attempts import forget_attempts
from yolact.batch.cluster import check_packages, running, share_out
from yolact.batch.listing import Listing, list_images
from yolact.batch.manifest import Identity, Manifest
from yolact.batch.output_folder import find_done, job_folder
from yolact.batch.part_files import PartSummary
from yolact.batch.places import Place, open_place
from yolact.batch.plan import Plan, write_plan
from yolact.batch.progress import Progress
from yolact.batch.ray_workers import run_parts
from yolact.batch.request import BatchRequest
from yolact.batch.worker import WorkerSettings
from yolact.runtime.engine_files import open_engine, read_metadata
from yolact.runtime.errors import EngineError, UsageError, YolactError
from yolact.runtime.file_digest import sha256_of
from yolact.runtime.metadata import ModelMetadata
from yolact.runtime.tensorrt.plan_file import read_plan_header
from yolact.runtime.wording import Say, count_noun, printable

_ERRORS = {kind.exit_code: kind for kind in (YolactError, UsageError, EngineError)}


@dataclass(frozen=True)
class BatchResult:
    """The result of a job.

    Attributes:
        images, unreadable, detections: numbers in the folder now, including those of earlier runs.
        done_before: number of images that earlier runs had done.
        failures: a sentence for each part that is not done.
    """

    images: int
    unreadable: int
    detections: int
    done_before: int
    failures: tuple[str, ...]


def run_batch(request: BatchRequest, note: Say) -> BatchResult:
    """Do a job, or the rest of it. `note` gets lines of progress and warnings.

    Raises:
        UsageError: the request contradicts itself or the folder, or a URI is not understood.
        ImageError, DatasetError: the input has no images, or cannot be read.
        EngineError: the file is no engine file, or does not run on a worker's machine.
        YolactError: the folder cannot be written to, Ray does not start, or a package is missing.
    """
    check_packages()
    metadata, on_gpu = _describe_engine(request)
    folder = open_place(request.output)
    listing = list_images(request.input, request.images, request.column)
    settings = _settings(request, listing, folder)
    identity = Identity(
        engine=printable(request.engine.name),
        engine_sha256=settings.engine_sha256,
        input=printable(listing.name),
        masks=request.masks,
        score_threshold=request.score_threshold,
        column=listing.column,
    )
    with job_folder(folder, identity, metadata):
        plan = write_plan(folder, listing.entries, request.images_per_part)
        del listing
        done = find_done(folder, plan, settings.engine_sha256, note)
        before = _count(done, "images")
        failures = _do(plan, done, settings, request, on_gpu, note)
        parts = tuple(done[number] for number in sorted(done))
        Manifest(identity, metadata, parts, complete=len(done) == len(plan)).write(folder)
    images, unreadable, detections = (_count(done, name) for name in ("images", "unreadable", "detections"))
    return BatchResult(images, unreadable, detections, before, failures)


def _count(done: Mapping[int, PartSummary], name: str) -> int:
    return sum(getattr(part, name) for part in done.values())


def _settings(request: BatchRequest, listing: Listing, folder: Place) -> WorkerSettings:
    """The settings for workers, which may run in other folders and on other machines."""
    options = request.open_options
    beside = options.metadata_file and options.metadata_file.absolute()
    return WorkerSettings(
        engine=request.engine.absolute(),
        engine_sha256=sha256_of(request.engine),
        source=listing.place,
        output=folder,
        masks=request.masks,
        score_threshold=request.score_threshold,
        batch_size=request.batch_size,
        column=listing.column,
        open_options=replace(options, metadata_file=beside),
    )


def _describe_engine(request: BatchRequest) -> tuple[ModelMetadata, bool]:
    """The model's metadata, and whether it runs on a GPU, which this machine need not have.

    Raises EngineError for a file that is no engine file, UsageError for a device that the user cannot choose.
    """
    options, path = request.open_options, request.engine
    device = options.device
    if device is not None and device.index:
        raise UsageError(f"--device {device}: Ray chooses the GPU of each worker; give --device {device.kind}")
    if path.is_file() and read_plan_header(path) is not None:
        return read_metadata(options.metadata_file or path.with_name(f"{path.name}.json")), True
    on_gpu = device is not None and device.kind in ("cuda", "tensorrt")
    engine = open_engine(path, replace(options, device=None) if on_gpu else options)
    engine.close()
    return engine.metadata, on_gpu


def _do(
    plan: Plan, done: dict[int, PartSummary], settings: WorkerSettings, request: BatchRequest, on_gpu: bool, note: Say
) -> tuple[str, ...]:
    """Have workers do the parts that are not done, and add them to `done`. Returns a sentence for each failed part.

    Raises EngineError or YolactError where every part would fail.
    """
    left = [number for number in range(len(plan)) if number not in done]
    if not left:
        return ()
    failures: dict[int, str] = {}
    forget_attempts(settings.output)
    with running(request.address):
        share = share_out(request.workers, on_gpu)
        progress = Progress(plan.images, done.values(), note)
        note(f"{count_noun(len(left), 'part')} to do by {count_noun(share.workers, 'worker')}")
        threads = settings.open_options.threads or share.threads
        opening = replace(settings.open_options, threads=threads, throughput=True)
        for outcome in run_parts(left, replace(settings, open_options=opening), share):
            if outcome.summary is not None:
                done[outcome.number] = outcome.summary
                progress.add(outcome.summary)
            elif outcome.exit_code:
                raise _ERRORS.get(outcome.exit_code, YolactError)(outcome.failure)
            else:
                failures[outcome.number] = outcome.failure
    parts = (plan.part(number) for number in sorted(failures))
    return tuple(
        f"{count_noun(part.images, 'image')} from {part.entries[0].path} on: {failures[part.number]}" for part in parts
    )
