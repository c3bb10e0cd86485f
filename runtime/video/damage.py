"""Finds the damaged parts of a video, and whether it ends before it should."""

from __future__ import annotations

from collections.abc import Iterable

_MOST = 10_000  # frames that are waited for; of more, the video is reported damaged all the same
_NAMED = 3
_SAME = 1.0  # seconds between damaged frames that count as one stretch

_HIDING = ("vp8",)
"""Codecs with packets that are never shown as a frame of their own."""


class Damage:
    """Notes the damaged frames of a video, by their times in seconds."""

    def __init__(self, codec: str) -> None:
        self._awaited: set[float] | None = None if codec in _HIDING else set()
        self._times: set[float] = set()
        self._first: float | None = None

    def note(self, time: float | None) -> None:
        """Something at this time is damaged."""
        if len(self._times) < _MOST:
            self._times.add(0.0 if time is None else time)

    def expect(self, time: float | None) -> None:
        """A packet was decoded whose frame is to be shown then."""
        if self._awaited is not None and time is not None and len(self._awaited) < _MOST:
            self._awaited.add(round(time, 6))

    def show(self, time: float, is_corrupt: bool, is_interlaced: bool) -> None:
        """A frame came out of the decoder."""
        self._first = time if self._first is None else min(time, self._first)
        if is_corrupt:
            self.note(time)
        if is_interlaced:  # its two fields may be packets of their own
            self._awaited = None
        if self._awaited is not None:
            self._awaited.discard(round(time, 6))

    def describe(self) -> str:
        """The stretches, such as ``1.20 s to 1.60 s and 3.00 s``; empty where there are none.

        Frames that never came out count. Those before the first do not: recordings may begin between key frames.
        """
        missing = {time for time in self._awaited or () if self._first is None or time > self._first}
        stretches = _stretches(sorted(self._times | missing))
        named = [_shown(*stretch) for stretch in stretches[:_NAMED]]
        if len(stretches) > _NAMED:
            named.append(f"{len(stretches) - _NAMED} more places")
        return ", ".join(named[:-1]) + " and " * (len(named) > 1) + named[-1] if named else ""


def _stretches(times: Iterable[float]) -> list[tuple[float, float]]:
    found: list[tuple[float, float]] = []
    for time in times:
        if found and time - found[-1][1] <= _SAME:
            found[-1] = (found[-1][0], time)
        else:
            found.append((time, time))
    return found


def _shown(start: float, end: float) -> str:
    return f"{start:.2f} s" if f"{start:.2f}" == f"{end:.2f}" else f"{start:.2f} s to {end:.2f} s"
