"""Answers the requests of those who watch a run."""

from __future__ import annotations

import re
import socket
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Protocol

from yolact.runtime.live.address import Address
from yolact.runtime.live.broadcast import Broadcast

_FILES = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/page.svg": ("page.svg", "image/svg+xml"),
}
_FIGURES, _PICTURES = "/figures.json", "/pictures"
_BOUNDARY = "picture"

_SECURITY = {
    "Content-Security-Policy": "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}

_SILENT_SECONDS = 10.0  # for which a viewer may take nothing, or ask for nothing
_REPEAT_SECONDS = 5.0  # after which the same picture is sent again, which shows whether the viewer is still there
_BUFFER = 1 << 17  # bytes on the way to a viewer; more would be older pictures


class Watched(Protocol):
    """The run that is watched."""

    address: Address

    @property
    def broadcast(self) -> Broadcast: ...

    def figures(self) -> bytes: ...

    def count_viewer(self, change: int) -> None: ...


class LiveHandler(BaseHTTPRequestHandler):
    """Answers one connection."""

    protocol_version = "HTTP/1.1"
    server_version, sys_version = "yolact", ""
    error_content_type, error_message_format = "text/plain; charset=utf-8", "%(code)d %(message)s\n"
    timeout = _SILENT_SECONDS

    def __init__(self, watched: Watched, *arguments: Any) -> None:
        self._watched = watched
        super().__init__(*arguments)

    def do_GET(self) -> None:
        """Answer with the page, what belongs to it, figures, or pictures without end."""
        path = self.path.partition("?")[0]
        if not self._is_asked_for():
            self.send_error(HTTPStatus.MISDIRECTED_REQUEST, "This server has another name")
        elif path in _FILES:
            name, kind = _FILES[path]
            self._answer(Path(__file__).with_name(name).read_bytes(), kind)
        elif path == _FIGURES:
            self._answer(self._watched.figures(), "application/json")
        elif path == _PICTURES:
            self._send_pictures()
        else:
            self.send_error(HTTPStatus.NOT_FOUND, "Not Found")

    do_HEAD = do_GET

    def _is_asked_for(self) -> bool:
        """Whether a browser asks for this machine by one of its own names.

        The page of another server could give that server's name the address of this one, and read the pictures then.
        """
        own = self._watched.address
        if not own.is_loopback:
            return True
        name = self.headers.get("Host", "")
        try:
            asked = Address.parse(name if re.search(r":\d+$", name) else f"{name}:80")
        except ValueError:
            return False
        return asked.is_loopback or asked.host.lower() == own.host.lower()

    def _answer(self, body: bytes, kind: str) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _send_pictures(self) -> None:
        """The newest picture again and again, as fast as this viewer takes them."""
        self.close_connection = True
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={_BOUNDARY}")
        self.end_headers()
        if self.command == "HEAD":
            return
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        self._watched.count_viewer(1)
        try:
            self._send_parts(self._watched.broadcast)
        finally:
            self._watched.count_viewer(-1)

    def _send_parts(self, broadcast: Broadcast) -> None:
        number, jpeg = 0, b""
        self.wfile.write(f"--{_BOUNDARY}\r\n".encode())
        while not broadcast.is_over:
            number, jpeg = broadcast.wait_for(number, _REPEAT_SECONDS) or (number, jpeg)
            if not jpeg or broadcast.is_over:
                continue
            head = f"Content-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            # Browsers show a part when the boundary after it has come.
            self.wfile.write(head.encode() + jpeg + f"\r\n--{_BOUNDARY}\r\n".encode())

    def end_headers(self) -> None:
        """Close the header, in which every answer forbids what the page does not need."""
        for name, value in _SECURITY.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, *_: object) -> None:
        """Requests are not logged."""
