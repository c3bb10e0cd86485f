"""When the frames of a video are shown, in seconds from its beginning."""

from __future__ import annotations

from fractions import Fraction

import av
from av import VideoFrame
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream


class FrameClock:
    """Gives frames their times, in the order in which they are decoded.

    Attributes:
        reached: the end of the last frame.
        pause: from the frame before the last one to the last one.
        longest: the longest of these.
    """

    def __init__(self, container: InputContainer, stream: VideoStream, fps: float, is_live: bool) -> None:
        """`fps`: for frames without times."""
        self._tick, self._period = stream.time_base or Fraction(1, 1000), 1 / fps
        self._is_avi = container.format.name == "avi"  # it has the times of decoding alone
        start = (container.start_time or 0) / av.time_base
        self._origin = None if is_live or self._is_avi else start
        self._time: float | None = None
        self.reached = self.pause = self.longest = 0.0

    def due(self, packet: Packet[VideoStream] | None) -> float | None:
        """The time at which a packet's frame is to be shown, None where that is not known."""
        if packet is None or packet.pts is None:
            return None
        return float(packet.pts * self._tick) - (self._origin or 0.0)

    def show(self, frame: VideoFrame) -> float:
        """The time of the next frame."""
        ticks = frame.dts if self._is_avi and frame.dts is not None else frame.pts
        time = self.reached
        if ticks is not None:
            if self._origin is None:
                self._origin = float(ticks * self._tick) - self.reached
            time = float(ticks * self._tick) - self._origin
        if self._is_avi and self._time is not None and time <= self._time:  # the last ones have the times of others
            time = self.reached
        self.pause = 0.0 if self._time is None else time - self._time
        self.longest = max(self.longest, self.pause)
        self._time = time
        self.reached = time + (float(frame.duration * self._tick) if frame.duration else self._period)
        return time
