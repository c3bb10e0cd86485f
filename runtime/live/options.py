"""Where a run is watched, as the user asked for it."""

from __future__ import annotations

from dataclasses import dataclass

from yolact.runtime.live.address import Address


@dataclass(frozen=True)
class LiveOptions:
    """Where videos are watched while they are worked on.

    Attributes:
        show: in a window.
        serve: on a page that is served at this address, None for none.
    """

    show: bool = False
    serve: Address | None = None
