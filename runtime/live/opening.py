"""Opens the screens on which a run is watched."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack

from yolact.runtime.errors import UsageError
from yolact.runtime.live.options import LiveOptions
from yolact.runtime.live.server import PageServer
from yolact.runtime.live.view import LiveView, Screen
from yolact.runtime.live.window import Window
from yolact.runtime.sources import Source, is_image_file
from yolact.runtime.wording import Say


def open_view(options: LiveOptions, sources: Iterable[Source], say: Say) -> LiveView:
    """The screens that were asked for, of which there may be none.

    Raises UsageError where no source is a video, YolactError where a screen cannot be opened.
    """
    asked = ["--show"] * options.show + ["--serve"] * (options.serve is not None)
    if asked and all(map(is_image_file, sources)):
        raise UsageError(f"{asked[0]} is for videos, cameras and streams, got images alone; leave it out")
    with ExitStack() as stack:
        screens: list[Screen] = []
        if options.show:
            screens.append(Window())
            stack.callback(screens[-1].close)
        if options.serve is not None:
            server = PageServer(options.serve)
            screens.append(server)
            say(f"watch at {server.url}")
        stack.pop_all()
    return LiveView(screens)
