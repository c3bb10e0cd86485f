"""A small web server: a page with the newest picture of a run and its figures."""

from __future__ import annotations

import logging
import socket
import sys
import threading
from dataclasses import asdict
from functools import partial
from http.server import ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any

from yolact.runtime.errors import YolactError
from yolact.runtime.images.arrays import Image
from yolact.runtime.json_text import to_json
from yolact.runtime.live.address import Address
from yolact.runtime.live.broadcast import Broadcast
from yolact.runtime.live.figures import Figures
from yolact.runtime.live.requests import LiveHandler

MOST_CONNECTIONS = 64
"""Connections open at once; further ones are closed."""

_POLL = 0.05  # seconds between checks whether the server is to end

log = logging.getLogger(__name__)


class PageServer:
    """Serves the newest picture of a run, and its figures, until it is closed.

    Attributes:
        url: of the page.
    """

    def __init__(self, address: Address) -> None:
        """Listen. Raises YolactError where that is not possible."""
        self._broadcast = Broadcast()
        self._figures: Figures | None = None
        self._viewers = 0
        self._lock = threading.Lock()
        try:
            self._server = _Server(address, partial(LiveHandler, self))
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise YolactError(f"--serve: cannot listen at {address} ({reason}); choose another HOST:PORT") from error
        port = self._server.server_address[1]
        self.address = Address(address.host, int(port))
        shown = Address(socket.gethostname(), self.address.port) if address.is_everywhere else self.address
        self.url = f"http://{shown}/"
        if not address.is_loopback:
            log.warning(f"--serve: whoever can reach {self.address} sees these pictures; nothing asks for a password")
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=[_POLL], daemon=True, name="yolact server"
        )
        self._thread.start()

    @property
    def broadcast(self) -> Broadcast:
        """The pictures that viewers see."""
        return self._broadcast

    def show(self, image: Image, figures: Figures) -> None:
        """See `Screen`."""
        self._figures = figures
        self._broadcast.publish(image)

    def is_closed(self) -> bool:
        """Viewers cannot end a run."""
        return False

    def figures(self) -> bytes:
        """JSON for the page: the fields of `Figures`, where there are some, and ``viewers``."""
        figures = self._figures
        known: dict[str, Any] = {} if figures is None else asdict(figures)
        return to_json(known | {"viewers": self._viewers}).encode()

    def count_viewer(self, change: int) -> None:
        """A viewer came (1) or went (-1)."""
        with self._lock:
            self._viewers += change

    def close(self) -> None:
        """End all answers and the server."""
        self._broadcast.end()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    """Each connection has a thread of its own, for which nothing waits."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = sys.platform != "win32"  # there it would let two servers share a port

    def __init__(self, address: Address, handler: Any) -> None:
        self.address_family = address.family
        self._free = threading.Semaphore(MOST_CONNECTIONS)
        super().__init__((address.host, address.port), handler)

    def server_bind(self) -> None:
        """As usual, but without asking a name server for the name of this machine."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A viewer that goes away is nothing to report."""
