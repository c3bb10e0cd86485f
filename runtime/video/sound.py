"""The sound of a video, copied as it is into another one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet


class Sound:
    """Copies sound beside pictures, in the order of their times."""

    def __init__(self, path: Path, output: OutputContainer) -> None:
        """Raises av.FFmpegError, ValueError or OSError where the sound does not go into the output."""
        self._file = path.open("rb", buffering=0)
        self._input = av.open(self._file, "r")
        (self._source, *_) = self._input.streams.audio
        self._output = output
        self._stream = output.add_stream_from_template(self._source)
        self._tick = self._source.time_base or Fraction(1, 1000)
        self._offset = round((self._input.start_time or 0) / (av.time_base * self._tick))
        self._packets = self._read()
        self._next: tuple[int, Packet[AudioStream]] | None = None

    def _read(self) -> Iterator[tuple[int, Packet[AudioStream]]]:
        """Packets and when they are heard, in ticks from the beginning."""
        with contextlib.suppress(av.error.FFmpegError):  # the reader of the pictures reports a damaged file
            for packet in self._input.demux(self._source):
                if packet.size and packet.pts is not None and packet.pts >= self._offset:  # before, a decoder warms up
                    yield packet.pts - self._offset, packet

    def copy_until(self, time: float) -> None:
        """Write the packets up to a time in seconds."""
        while (found := self._next or next(self._packets, None)) is not None:
            self._next = found
            ticks, packet = found
            if ticks * self._tick > time:
                return
            self._next = None
            packet.pts = packet.dts = ticks
            packet.stream = self._stream
            self._output.mux(packet)

    def close(self) -> None:
        self._input.close()
        self._file.close()
