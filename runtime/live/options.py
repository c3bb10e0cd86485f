"""The user's options for watching a run."""

from __future__ import annotations

from dataclasses import dataclass

from yolact.runtime.live.address import Address


@dataclass(frozen=True)
class LiveOptions:
    """The places where videos are watched while they are worked on.

    Attributes:
        show: in a window.
        serve: on a page that is served at this address, None for none.
    """

    show: bool = False
    serve: Address | None = None
