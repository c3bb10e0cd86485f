"""The meaning of a SOURCE on the command line (image, folder, pattern, video, URL or camera), and its opening."""

from __future__ import annotations

import glob
import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from yolact.runtime.errors import ImageError
from yolact.runtime.images.arrays import Image
from yolact.runtime.images.decoding import decode_image
from yolact.runtime.images.download import SCHEMES, download_image, without_credentials
from yolact.runtime.images.image_files import read_image
from yolact.runtime.images.suffixes import IMAGE_SUFFIXES, VIDEO_SUFFIXES, WRITABLE_SUFFIXES
from yolact.runtime.video.frames import Video
from yolact.runtime.video.opening import open_video

_STREAM_SCHEMES = ("rtsp", "rtsps", "rtmp", "rtmps")
_LONGEST_STEM = 100  # file systems allow 255 bytes; the last part of a URL may be longer


@dataclass(frozen=True)
class Source:
    """One image or one video.

    Attributes:
        name: its name in results and errors: the path, the URL without user and password, or ``camera 0``.
        location: where it is: a file (Path), a URL (str), or a camera's index (int).
    """

    name: str
    location: Path | str | int

    def open(self) -> Image | Video:
        """Read the image, (H, W, 3) uint8 BGR, or open the video.

        Raises ImageError where that fails, PackageMissing for a video where PyAV is not installed.
        """
        if isinstance(self.location, Path):
            return _open_file(self.location)
        if isinstance(self.location, str):
            return _open_url(self.location, self.name)
        return open_video(self.location, self.name)

    @property
    def stem(self) -> str:
        """Name of an output file for it, without suffix: no separators, nothing a file system refuses."""
        if isinstance(self.location, Path):
            return "stdin" if self.name == "-" else self.location.stem
        if isinstance(self.location, int):
            return f"camera{self.location}"
        url = urlsplit(self.location)
        last = Path(unquote(url.path)).stem or url.hostname or "url"
        return re.sub(r'[<>:"/\\|?*\x00-\x1f]', "_", last)[:_LONGEST_STEM]

    @property
    def image_suffix(self) -> str:
        """Suffix an annotated image of it gets: its own, or .jpg where OpenCV may not be able to write that."""
        path = urlsplit(self.location).path if isinstance(self.location, str) else str(self.location)
        suffix = Path(path).suffix.lower()
        return suffix if suffix in WRITABLE_SUFFIXES else ".jpg"


def expand_source(argument: str) -> list[Source]:
    """The images and videos that one SOURCE stands for.

    - an integer of up to three digits: the camera of that index (``./0`` is a folder of that name)
    - ``-``: a video on the standard input (``./-`` is a file of that name)
    - a URL: an image or video (http, https) or a stream (rtsp, rtmp)
    - a folder: the images in it by name, not those in folders below, nor those whose names begin with a dot
    - a pattern with ``*``, ``?`` or ``[``: the images and videos that match, by name; ``**`` goes into folders below
    - anything else: an image or video file

    Raises ImageError where there is nothing.
    """
    if re.fullmatch(r"\d{1,3}", argument, re.ASCII):
        return [Source(f"camera {int(argument)}", int(argument))]
    if argument == "-":
        return [Source("-", Path("-"))]
    if "://" in argument:
        return [_expand_url(argument)]
    try:
        return _expand_path(argument)
    except OSError as error:  # a name that is too long, a folder that cannot be entered
        raise ImageError(f"{argument}: cannot be read ({error.strerror})") from error


def _expand_path(argument: str) -> list[Source]:
    path = Path(argument)
    if argument and path.is_dir():
        return _expand_folder(path)
    if glob.has_magic(argument) and not os.path.lexists(path):
        return _expand_pattern(argument)
    if not argument or not path.exists():
        raise ImageError(f"{argument or 'empty SOURCE'}: there is no such file or folder")
    return [Source(argument, path)]


def is_image_file(source: Source) -> bool:
    """Whether it is read to its end from a file, so that it can be read ahead and in another thread.

    Videos, cameras, URLs and pipes open when they are asked for: frames would grow stale, and in another thread waiting
    for a server or a writer could not be interrupted.
    """
    path = source.location
    return isinstance(path, Path) and source.name != "-" and not _has_suffix(path, VIDEO_SUFFIXES) and path.is_file()


def is_video_file(source: Source) -> bool:
    """Whether it is a file, and no pipe, whose name says that it is a video."""
    path = source.location
    return isinstance(path, Path) and _has_suffix(path, VIDEO_SUFFIXES) and path.is_file()


def _expand_url(url: str) -> Source:
    name, _ = without_credentials(url)
    try:
        scheme = urlsplit(url).scheme.lower()
    except ValueError as error:  # e.g. an unclosed bracket around the host
        raise ImageError(f"{name}: expected a URL ({error})") from error
    if scheme not in (*SCHEMES, *_STREAM_SCHEMES):
        known = ", ".join((*SCHEMES, *_STREAM_SCHEMES))
        raise ImageError(f"{name}: expected a URL with one of {known}, got {scheme or 'none of them'}")
    return Source(name, url)


def _expand_folder(folder: Path) -> list[Source]:
    try:
        found = sorted(path for path in folder.iterdir() if _has_suffix(path, IMAGE_SUFFIXES) and _is_listed(path))
    except OSError as error:
        raise ImageError(f"{folder}: the folder cannot be read ({error.strerror})") from error
    if not found:
        known = ", ".join(IMAGE_SUFFIXES)
        raise ImageError(f"{folder}: the folder holds no image ({known}); folders in it are not searched")
    return [Source(str(path), path) for path in found]


def _expand_pattern(pattern: str) -> list[Source]:
    # A quoted pattern reaches us with its tilde: the shell expands neither.
    matches = map(Path, glob.glob(os.path.expanduser(pattern), recursive=True))  # noqa: PTH111, PTH207
    found = sorted(path for path in matches if _has_suffix(path, IMAGE_SUFFIXES + VIDEO_SUFFIXES) and _is_listed(path))
    if not found:
        raise ImageError(f"{pattern}: no image or video matches this pattern")
    return [Source(str(path), path) for path in found]


def _is_listed(path: Path) -> bool:
    """Whether it is a file that shows in a folder. ``._photo.jpg`` is what macOS notes about ``photo.jpg``."""
    return not path.name.startswith(".") and path.is_file()


def _open_file(path: Path) -> Image | Video:
    if str(path) != "-" and not _has_suffix(path, VIDEO_SUFFIXES):
        return read_image(path)
    return open_video(path, str(path))


def _open_url(url: str, name: str) -> Image | Video:
    parts = urlsplit(url)
    if parts.scheme.lower() in _STREAM_SCHEMES or _has_suffix(Path(parts.path), VIDEO_SUFFIXES):
        return open_video(url, name)
    data = download_image(url)
    return open_video(url, name) if data is None else decode_image(data, name)


def _has_suffix(path: Path, suffixes: tuple[str, ...]) -> bool:
    return path.suffix.lower() in suffixes
