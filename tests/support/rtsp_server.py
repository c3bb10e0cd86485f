"""A camera that speaks RTSP: H.264 in RTP packets inside the connection, one client after the other."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from fractions import Fraction

import av
from numbered_films import picture

_SDP = (
    b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=live\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\n"
    b"a=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\na=control:track\r\n"
)
_ANSWERS = {
    "OPTIONS": (b"Public: OPTIONS, DESCRIBE, SETUP, PLAY\r\n", b""),
    "DESCRIBE": (b"Content-Type: application/sdp\r\nContent-Length: %d\r\n" % len(_SDP), _SDP),
    "SETUP": (b"Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1\r\n", b""),
    "PLAY": (b"Session: 1\r\n", b""),
}
_TICKS = 9000  # of 90,000 a second from frame to frame
_FIRST = 123_456  # a camera's clock began before anyone looked


class RtspCamera(threading.Thread):
    """Sends numbered pictures, ten a second by their times, and ends each connection without a word, or is silent then.

    Attributes:
        url: its address.
    """

    def __init__(self, *frames: int, is_silent: bool = False) -> None:
        """`frames`: for each connection, which the client ends where it `is_silent`. Further ones are refused."""
        super().__init__(daemon=True)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._frames, self._is_silent = frames, is_silent
        self.url = f"rtsp://127.0.0.1:{self._listener.getsockname()[1]}/live"
        self.start()

    def run(self) -> None:
        with self._listener:
            for position, frames in enumerate(self._frames, 1):
                connection, _ = self._listener.accept()
                if position == len(self._frames):
                    self._listener.close()
                with connection, contextlib.suppress(OSError):
                    self._talk(connection)
                    for packet in _packets(frames):
                        connection.sendall(b"$\0" + len(packet).to_bytes(2, "big") + packet)
                    while self._is_silent and connection.recv(1000):
                        pass

    def _talk(self, connection: socket.socket) -> None:
        """Answer until the client wants pictures."""
        lines, method = connection.makefile("rb"), ""
        while method != "PLAY":
            request = [line.decode().strip() for line in iter(lines.readline, b"\r\n")]
            method = request[0].split()[0]
            (number,) = [line for line in request if line.lower().startswith("cseq")]
            head, body = _ANSWERS[method]
            connection.sendall(f"RTSP/1.0 200 OK\r\n{number}\r\n".encode() + head + b"\r\n" + body)


def _packets(frames: int) -> Iterator[bytes]:
    """RTP packets of one NAL unit each, RFC 6184."""
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = 96, 64, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, 90_000), Fraction(10)
    encoder.options = {"tune": "zerolatency"}
    count = 0
    for number in range(frames):
        frame = av.VideoFrame.from_ndarray(picture(number), format="bgr24").reformat(format="yuv420p")
        frame.pts, frame.time_base = number * _TICKS, Fraction(1, 90_000)
        for encoded in encoder.encode(frame):
            units = [unit for unit in bytes(encoded).replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1") if unit]
            for index, unit in enumerate(units, 1):
                kind = 96 | (0x80 if index == len(units) else 0)  # the last of a frame has a mark
                time = (_FIRST + number * _TICKS).to_bytes(4, "big")
                yield bytes((0x80, kind)) + count.to_bytes(2, "big") + time + b"\0\0\0\7" + unit
                count += 1
