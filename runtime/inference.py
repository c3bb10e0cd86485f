"""Runs a detector over sources and writes its detections: pictures, lines, JSON."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby, takewhile
from pathlib import Path
from typing import Any, NamedTuple

from yolact.runtime.class_choice import parse_classes
from yolact.runtime.config import DISPLAY_SCORE_THRESHOLD, DISPLAY_TOP_K
from yolact.runtime.detections import Detections, summarise
from yolact.runtime.detector import Detector
from yolact.runtime.engine import EngineOptions
from yolact.runtime.engine_files import open_engine
from yolact.runtime.errors import ImageError, YolactError
from yolact.runtime.images.arrays import Image
from yolact.runtime.images.drawing import ColorBy, annotate
from yolact.runtime.live.opening import open_view
from yolact.runtime.live.options import LiveOptions
from yolact.runtime.live.view import LiveView
from yolact.runtime.output_files import OutputNames, check_output, check_output_folder
from yolact.runtime.packages import PackageMissing
from yolact.runtime.picture_writer import PictureWriter
from yolact.runtime.pipeline import run_stages
from yolact.runtime.progress_bar import ProgressBar
from yolact.runtime.results import JsonResults, MaskFormat, to_row
from yolact.runtime.sources import Source, expand_source, is_image_file, is_video_file
from yolact.runtime.tracking.following import Following
from yolact.runtime.triton.address import TritonAddress
from yolact.runtime.video.frames import Frame, Video
from yolact.runtime.video.opening import create_video
from yolact.runtime.video.options import VideoOptions
from yolact.runtime.video.reconnecting import ReconnectingVideo
from yolact.runtime.wording import Say, count_noun, printable


@dataclass(frozen=True)
class InferenceRequest:
    """The user's request.

    Attributes:
        engine: exported model file or plan, or a model on a server.
        sources: see `sources.expand_source`.
        score_threshold: detections below are left out.
        top_k: most detections shown of one image.
        open_options: how the engine file is opened.
        classes: names or ids separated by commas; None for all.
        output: folder for annotated pictures and videos; created.
        json: file for the results, None for none.
        masks: how they are written to it.
        color_by: the unit that has a colour of its own in pictures and videos, see `annotate`.
        track: whether instances are followed over the frames of a video, and over the images of a folder.
        smooth: whether masks, boxes and scores are averaged with those of the frames before; needs `track`.
        video_options: which frames of videos are taken, and how they are written.
        live: where videos are watched while they are worked on.
    """

    engine: Path | TritonAddress
    sources: Sequence[str]
    score_threshold: float = DISPLAY_SCORE_THRESHOLD
    top_k: int = DISPLAY_TOP_K
    open_options: EngineOptions = field(default_factory=EngineOptions)
    classes: str | None = None
    output: Path = Path("yolact-output")
    json: Path | None = None
    masks: MaskFormat = "rle"
    color_by: ColorBy = "instance"
    track: bool = False
    smooth: bool = False
    video_options: VideoOptions = field(default_factory=VideoOptions)
    live: LiveOptions = field(default_factory=LiveOptions)


def run_inference(request: InferenceRequest, say: Say, report: Say) -> bool:
    """Run the detector over all sources and write its detections.

    `say` gets a line about each image, `report` one about each source that fails. The other sources are still done.

    Returns whether every source was done in full.
    Raises YolactError where nothing can be done: the engine does not fit, the outputs cannot be written.
    """
    sources, complete = _expand(request.sources, report)
    if not sources:
        return False
    files = [source.location for source in sources if isinstance(source.location, Path)]
    check_output_folder("--output", request.output)
    if request.json is not None:
        engine = None if isinstance(request.engine, TritonAddress) else request.engine
        check_output("--json", request.json, [engine, request.open_options.metadata_file, *files])
    with ExitStack() as stack:
        view = stack.enter_context(open_view(request.live, sources, say))
        detector = stack.enter_context(_open(request, sources))
        class_ids = None if request.classes is None else parse_classes(request.classes, detector.class_names)
        results = None if request.json is None else stack.enter_context(JsonResults(request.json))
        names = OutputNames(request.output, files, [] if request.json is None else [request.json])
        run = _Run(request, detector, class_ids, names, results, view, say, report)
        bar = stack.enter_context(ProgressBar(total=len(sources), unit=" sources", disable=len(sources) < 2))
        stack.enter_context(run.pictures)
        for done in _process(run, sources):
            complete &= done
            bar.update()
    return complete and run.pictures.complete


def _open(request: InferenceRequest, sources: Sequence[Source]) -> Detector:
    if isinstance(request.engine, TritonAddress):
        from yolact.runtime.triton.detector import TritonDetector

        return TritonDetector(request.engine)
    is_watched = request.live.show or request.live.serve is not None
    are_files = all(is_image_file(source) or is_video_file(source) for source in sources)
    throughput = are_files and not is_watched and (len(sources) > 1 or is_video_file(sources[0]))
    return Detector(open_engine(request.engine, replace(request.open_options, throughput=throughput)))


def _expand(arguments: Sequence[str], report: Say) -> tuple[list[Source], bool]:
    """All sources in order, and whether every argument stands for at least one. The others are reported."""
    sources: list[Source] = []
    complete = True
    for argument in arguments:
        try:
            sources += expand_source(argument)
        except ImageError as error:
            report(str(error))
            complete = False
    return sources, complete


@dataclass
class _Run:
    """The parts that all sources of a run share: the detector, the outputs and the receivers of messages."""

    request: InferenceRequest
    detector: Detector
    class_ids: Sequence[int] | None
    names: OutputNames
    results: JsonResults | None
    view: LiveView
    say: Say
    report: Say
    pictures: PictureWriter = field(init=False)
    milliseconds: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        request = self.request
        self.pictures = PictureWriter(request.masks, request.color_by, self.results, self.say, self.report)

    def detect(
        self, inputs: Iterable[_Input], *, live: bool = False
    ) -> Generator[tuple[_Input, Detections | ImageError], None, None]:
        """The detections to show of each image, in order, or its error; leaves the duration in `milliseconds`.

        The next images are begun meanwhile, unless they are `live`: one that waits grows stale. They run in batches of
        the least size that the engine takes, as smaller batches would be filled up to it.
        """
        begun = deque[_Input]()
        wanted = self.request
        following = Following(wanted.score_threshold, smooth=wanted.smooth) if wanted.track else None
        batch_size = 1 if live else self.detector.engine.min_batch
        with self.detector.stream(
            _remember(inputs, begun, as_files=self.detector.sends_files),
            1 if live else self.detector.in_flight,
            batch_size=batch_size,
            score_threshold=self.request.score_threshold if following is None else following.least_score,
            top_k=self.request.top_k,
            class_ids=self.class_ids,
        ) as stream:
            while True:
                outcome: Detections | ImageError | None
                try:
                    outcome = next(stream, None)
                except ImageError as error:
                    if not begun:  # no image failed, but its source, such as a video that breaks off
                        raise
                    outcome = error
                if outcome is None:
                    return
                self.milliseconds = stream.milliseconds
                one = begun.popleft()
                if following is not None and not isinstance(outcome, ImageError):
                    outcome = following.next(outcome, _scene(one.source))
                yield one, outcome

    def picture(self, source: Source, image: Image, detections: Detections) -> None:
        """Draw and write one image, in the background."""
        path = self.names.reserve(source.stem, source.image_suffix)
        self.pictures.add(source, image, detections, path, self.summarise(detections))

    def fail(self, error: YolactError) -> None:
        """Report a source that failed, after the images before it."""
        self.pictures.finish()
        self.report(str(error))

    def summarise(self, detections: Detections) -> str:
        return f"{summarise(detections)}, {self.milliseconds:.1f} ms"

    def row_of(self, source: Source, detections: Detections, frame: Frame) -> dict[str, Any] | None:
        """One frame of a video for the JSON, if any is asked for."""
        if self.results is None:
            return None
        return to_row(source.name, detections, self.request.masks, frame.index, frame.time, frame.gap)


class _Input:
    """An image whose turn comes. Where it is not given, it is read when this is called, and kept."""

    def __init__(self, source: Source, image: Image | None = None, frame: Frame | None = None) -> None:
        self.source, self.frame = source, frame
        self._image = image if frame is None else frame.image

    @property
    def file(self) -> Path | None:
        """The file it is in, None where it comes from elsewhere."""
        path = self.source.location
        return path if isinstance(path, Path) and self._image is None else None

    def __call__(self) -> Image:
        if self._image is None:
            image = self.source.open()
            assert not isinstance(image, Video)
            self._image = image
        return self._image


def _scene(source: Source) -> object:
    """The folder of an image, as the images of one folder are taken for frames of one film; else the source itself."""
    return source.location.parent if isinstance(source.location, Path) and is_image_file(source) else source.location


def _remember(inputs: Iterable[_Input], begun: deque[_Input], *, as_files: bool) -> Iterator[_Input | Path]:
    """The images whose turn comes; where a server decodes them, the names of those that are files."""
    for one in inputs:
        begun.append(one)
        yield one.file if as_files and one.file is not None else one


def _process(run: _Run, sources: Iterable[Source]) -> Iterator[bool]:
    """Process all sources; for each, whether it was done."""
    wanted = takewhile(lambda _: not run.view.is_over, sources)
    for are_files, some in groupby(wanted, is_image_file):
        if are_files:
            yield from _process_images(run, map(_Input, some))
        else:
            yield from (_is_done(run, source) for source in some)


def _process_images(run: _Run, inputs: Iterable[_Input]) -> Iterator[bool]:
    """Process images, of which the next are begun while one is drawn; for each, whether it was done."""
    with closing(run.detect(inputs)) as found:
        for one, outcome in found:
            try:
                if isinstance(outcome, ImageError):
                    raise outcome
                image = one()  # where a server has decoded the file, it is read here for the first time
            except ImageError as error:
                run.fail(error)
                yield False
            else:
                run.picture(one.source, image, outcome)
                yield True


def _is_done(run: _Run, source: Source) -> bool:
    """Process one source that is no image file; False where it failed, which is reported."""
    try:
        media = source.open()
        if not isinstance(media, Video):
            return all(_process_images(run, [_Input(source, media)]))
        run.pictures.finish()  # lines and rows come in the order of the sources
        _process_video(run, source, media)
    except (ImageError, PackageMissing) as error:
        run.fail(error)
        return False
    return True


def _process_video(run: _Run, source: Source, media: Video) -> None:
    options = run.request.video_options
    if options.reconnect and media.is_live:
        media = ReconnectingVideo(media, partial(_open_again, source), options.reconnect, run.say)
    media = run.view.watch(media, options.stride)
    with media:
        path = run.names.reserve(source.stem, ".mp4")
        video = create_video(path, media.fps, options.codec, media.sound if options.audio else None)
        if options.audio and media.sound is None:
            run.say(f"{source.name}: there is no sound in it that could be copied")
        bar = ProgressBar(total=media.frame_count, desc=printable(source.name), leave=False, unit=" frames")
        try:
            with video, bar, closing(_draw_frames(run, source, media)) as drawn:
                for done in drawn:
                    run.view.show(done.frame, done.picture, done.detections)
                    video.write(done.picture, done.frame.time)
                    if run.results is not None and done.row is not None:
                        run.results.add(done.row)
                    run.say(f"{source.name} frame {done.frame.index}: {done.summary}")
                    bar.update()
                    if run.view.is_over:
                        break
        finally:  # what was written before the video broke off or Ctrl-C ended it is kept
            for line in run.view.summarise():
                run.say(line)
            if video.is_saved:
                run.say(f"{source.name}: {count_noun(video.frame_count, 'frame')} -> {video.path}")


class _Drawn(NamedTuple):
    """A frame that is done but for being written: its picture, its row of the JSON if there is one, its line."""

    frame: Frame
    detections: Detections
    picture: Image
    row: dict[str, Any] | None
    summary: str


def _draw_frames(run: _Run, source: Source, media: Video) -> Generator[_Drawn, None, None]:
    """The frames of a video, drawn.

    Decoding, the network and drawing go on at the same time, and while the caller writes. For cameras and streams they
    run one after the other, as a frame that waits grows stale, and also where Ctrl-C must end the waiting for a frame.
    """
    frames = (_Input(source, frame=frame) for frame in run.request.video_options.choose(media))

    def find(inputs: Iterable[_Input]) -> Generator[tuple[Frame, Detections, str], None, None]:
        with closing(run.detect(inputs, live=media.is_live)) as found:
            for one, outcome in found:
                if isinstance(outcome, ImageError):
                    raise outcome
                assert one.frame is not None
                yield one.frame, outcome, run.summarise(outcome)

    def draw(found: Iterable[tuple[Frame, Detections, str]]) -> Generator[_Drawn, None, None]:
        for frame, detections, summary in found:
            picture = annotate(frame.image, detections, color_by=run.request.color_by)
            yield _Drawn(frame, detections, picture, run.row_of(source, detections, frame), summary)

    return run_stages(frames, find, draw, slowest=find, ahead=not (media.is_live or media.may_wait))


def _open_again(source: Source) -> Video:
    media = source.open()
    if not isinstance(media, Video):
        raise ImageError(f"{source.name}: expected a video, as before, got an image")
    return media
