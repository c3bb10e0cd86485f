"""Downloads weights with the client of Hugging Face and into its cache, and checks them."""

from __future__ import annotations

import logging
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from yolact.hub.client_errors import HubUnreachable, explain, offline
from yolact.hub.repository_files import HubFile, choose_weights, has_digest
from yolact.runtime.errors import YolactError
from yolact.runtime.model_names import Repository
from yolact.runtime.packages import PackageMissing
from yolact.runtime.wording import Say, one_line

_LOG = logging.getLogger(__name__)

_DIGEST = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def download_weights(repository: Repository, note: Say) -> Path:
    """The file of a repository's weights in the cache of huggingface_hub, downloaded where it is missing.

    Its contents are compared with the digest that the hub states. Without a network, the file of an earlier download
    is taken; with HF_HUB_OFFLINE, no request is made.

    Args:
        repository: the repository of the weights.
        note: gets a line before a download, and where the hub cannot be reached.

    Raises:
        PackageMissing: huggingface_hub is not installed.
        YolactError: there is no such repository, not exactly one file of weights in it, no network, or the contents
            have another digest; no file with wrong contents stays in the cache.
    """
    client = _client(repository)
    if client.constants.HF_HUB_OFFLINE:
        found = _find_cached(client, repository)
        if found is None:
            raise offline(repository)
        return found
    try:
        return _download(client, repository, note)
    except HubUnreachable as error:
        found = _find_cached(client, repository)
        if found is None:
            raise
        note(f"{error.reason}; {found.name} is taken from the cache")
        return found


def find_downloaded(repository: Repository) -> Path | None:
    """The file of weights that were downloaded before; None where they were not, or there is no client."""
    try:
        return _find_cached(_client(repository), repository, check=False)
    except YolactError:
        return None


def _client(repository: Repository) -> Any:
    # Before it is loaded, as for ONNX Runtime: what people run is nobody else's business. Who wants it sets it to 0.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        import huggingface_hub
        import huggingface_hub.constants
    except ModuleNotFoundError as error:
        raise PackageMissing(
            f"{repository} is no file on this machine, and downloading it from Hugging Face", error.name, "hub"
        ) from None
    return huggingface_hub


def _download(client: Any, repository: Repository, note: Say) -> Path:
    endpoint = client.constants.ENDPOINT
    with _explained(repository, endpoint):
        info = client.HfApi().model_info(
            repository.id,
            revision=repository.revision,
            files_metadata=True,
            timeout=client.constants.HF_HUB_ETAG_TIMEOUT,
        )
        listed = {one.name: one for one in map(_as_file, info.siblings or [])}
    wanted = listed[choose_weights(listed, repository)]
    if not _DIGEST.fullmatch(wanted.digest):
        raise YolactError(
            f"{endpoint} states no digest of {wanted.name} of {repository}, so the file is not downloaded"
        )
    cached = client.try_to_load_from_cache(repository.id, wanted.name, revision=repository.revision)
    if isinstance(cached, str) and _is_current(Path(cached), wanted, repository, note):
        return Path(cached)
    size = "" if wanted.size is None else f", {wanted.size / 1e6:.1f} MB"
    note(f"downloading {wanted.name} of {repository}{size}")
    with _explained(repository, endpoint):
        path = Path(client.hf_hub_download(repository.id, wanted.name, revision=repository.revision))
    if has_digest(path, wanted.digest):
        return path
    _forget(path)
    raise YolactError(
        f"{endpoint} sent other contents for {wanted.name} of {repository} than those it lists, with the digest "
        f"{wanted.digest[:12]}..., so they were not kept; run this again, and if that does not help, check HF_ENDPOINT "
        "and the proxies"
    )


def _is_current(cached: Path, wanted: HubFile, repository: Repository, note: Say) -> bool:
    """Whether a file in the cache is the one that the hub lists. A changed file is removed, an older version stays."""
    if has_digest(cached, wanted.digest):
        return True
    if cached.resolve().name == wanted.digest:  # the cache names contents by their digest
        note(f"{cached.name} in the cache was changed after its download; it is downloaded again")
        _forget(cached)
    return False


def _as_file(sibling: Any) -> HubFile:
    lfs = sibling.lfs
    return HubFile(sibling.rfilename, sibling.size, str((lfs.sha256 if lfs else sibling.blob_id) or "").lower())


def _find_cached(client: Any, repository: Repository, *, check: bool = True) -> Path | None:
    """The file of the weights in the cache, without any request; None where there is none.

    Raises YolactError where the cache has several files of weights, or a file that was changed, which is removed.
    """
    try:
        folder = Path(client.snapshot_download(repository.id, revision=repository.revision, local_files_only=True))
    except Exception:  # the client has a dozen ways to say that it is not there
        return None
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    if not names or (repository.file is not None and repository.file not in names):
        return None
    path = folder / choose_weights(names, repository)
    digest = path.resolve().name  # the cache names contents by their digest
    if check and _DIGEST.fullmatch(digest) and not has_digest(path, digest):
        _forget(path)
        raise YolactError(f"{path} was changed after it was downloaded and is removed; download it again")
    return path


def _forget(path: Path) -> None:
    """Remove a file from the cache: its name, and its contents."""
    contents = path.resolve()
    for one in (path, contents):
        one.unlink(missing_ok=True)


@contextmanager
def _explained(repository: Repository, endpoint: str) -> Iterator[None]:
    """Turn the client's exceptions into our errors, and its warnings into lines of our own log."""
    logger = logging.getLogger("huggingface_hub")
    before, handler = list(logger.handlers), _Forwarding(logging.WARNING)
    logger.handlers[:] = [handler]
    try:
        with warnings.catch_warnings(record=True) as caught:
            yield
        for warning in caught:
            _LOG.warning("%s", one_line(warning.message))
    except MemoryError:
        raise
    except Exception as error:  # what the client raises has many roots, its HTTP library's among them
        raise explain(error, repository, endpoint) from error
    finally:
        logger.handlers[:] = before


class _Forwarding(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        _LOG.warning("%s", one_line(record.getMessage()))
