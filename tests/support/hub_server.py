"""A small hub on loopback, as far as the client of Hugging Face asks: lists of files, their heads, their contents."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def git_digest(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@dataclass
class Hub:
    """What the server has, and how it behaves.

    Attributes:
        repositories: by ``owner/name``, the files by their names.
        revisions: names of revisions besides ``main``, and commits of them all.
        former: by repository and commit, the files that differ from those of today.
        plain: files that are not in Git LFS.
        break_after: bytes after which the next answer with contents ends.
        sent_instead: what is sent for every file, in the place of its contents.
        status: with which everything is answered, None to answer.
        listed: the answer to the question for a list, as it goes out, None for the right one.
        address, storage: of the hub, and of the other host that it sends clients to for contents.
        requests: all so far, as method, path and headers.
    """

    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)
    revisions: dict[str, str] = field(default_factory=lambda: {"main": COMMIT})
    former: dict[tuple[str, str], dict[str, bytes]] = field(default_factory=dict)
    plain: set[str] = field(default_factory=set)
    break_after: int | None = None
    sent_instead: bytes | None = None
    status: int | None = None
    code: str = ""
    listed: bytes | None = None
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    address: str = ""
    storage: str = ""

    def commit(self, revision: str) -> str | None:
        return revision if revision in self.revisions.values() else self.revisions.get(revision)

    def files(self, repository: str, commit: str) -> dict[str, bytes]:
        return self.former.get((repository, commit), self.repositories[repository])

    def listing(self, repository: str, commit: str) -> dict[str, Any]:
        files = []
        for name, data in self.files(repository, commit).items():
            one: dict[str, Any] = {"rfilename": name, "size": len(data), "blobId": git_digest(data)}
            if name not in self.plain:
                one["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
            files.append(one)
        return {"_id": "1", "id": repository, "modelId": repository, "sha": commit, "siblings": files, "tags": []}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_: object) -> None: ...

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        self.hub.requests.append(
            (self.command, self.path, {name.lower(): value for name, value in self.headers.items()})
        )
        path = self.path.partition("?")[0]
        if self.hub.status is not None:
            return self._send(self.hub.status, b"", {"X-Error-Code": self.hub.code} if self.hub.code else {})
        if (match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", path)) is not None:
            return self._list(match[1], match[2] or "main")
        if (match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)) is not None:
            return self._resolve(*match.groups())
        if (match := re.fullmatch(r"/storage/([^/]+/[^/]+)/([^/]+)/(.+)", path)) is not None:
            return self._contents(self.hub.files(match[1], match[2])[match[3]])
        return self._send(404, b"")

    def _find(self, repository: str, revision: str) -> str | None:
        """The commit; where there is none the answer is sent."""
        commit = self.hub.commit(revision)
        if repository not in self.hub.repositories or commit is None:
            known = repository in self.hub.repositories
            self._send(404 if known else 401, b"{}", {"X-Error-Code": "RevisionNotFound" if known else "RepoNotFound"})
            return None
        return commit

    def _list(self, repository: str, revision: str) -> None:
        if (commit := self._find(repository, revision)) is not None:
            answer = self.hub.listed or json.dumps(self.hub.listing(repository, commit)).encode()
            self._send(200, answer, {"Content-Type": "application/json"})

    def _resolve(self, repository: str, revision: str, name: str) -> None:
        if (commit := self._find(repository, revision)) is None:
            return
        data = self.hub.files(repository, commit)[name]
        if name in self.hub.plain:
            self._contents(data, {"X-Repo-Commit": commit, "ETag": f'"{git_digest(data)}"'})
            return
        headers = {
            "X-Repo-Commit": commit,
            "X-Linked-ETag": f'"{hashlib.sha256(data).hexdigest()}"',
            "X-Linked-Size": str(len(data)),
            "Location": f"{self.hub.storage}/storage/{repository}/{commit}/{name}",
        }
        self._send(302, b"", headers)

    def _contents(self, data: bytes, headers: dict[str, str] | None = None) -> None:
        data = self.hub.sent_instead or data
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(asked[1]) if asked else 0
        span = {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"} if asked else {}
        cut = None
        if self.command == "GET":
            cut, self.hub.break_after = self.hub.break_after, None
        self._send(206 if asked else 200, data[start:], (headers or {}) | span, cut)

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None, cut: int | None = None) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body if cut is None else body[:cut])
        if cut is not None:
            self.close_connection = True


@contextmanager
def serve(hub: Hub, port: int = 0) -> Iterator[Hub]:
    """Answer in a thread for as long as the block runs; `hub.address` is where."""
    server = ThreadingHTTPServer(("127.0.0.1", port), type("Handler", (_Handler,), {"hub": hub}))
    server.daemon_threads = True
    hub.address = f"http://127.0.0.1:{server.server_port}"
    hub.storage = f"http://localhost:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
