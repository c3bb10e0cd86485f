"""The errors of Hugging Face's client as sentences."""

from __future__ import annotations

import errno

from yolact.runtime.errors import UsageError, YolactError
from yolact.runtime.model_names import Repository
from yolact.runtime.wording import one_line

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)
"""Errors that say why a file cannot be written but come without its name."""


class HubUnreachable(YolactError):
    """The hub did not answer, or may not be asked; earlier downloads can still be used.

    Attributes:
        reason: the part of the sentence that says why.
    """

    def __init__(self, reason: str, advice: str) -> None:
        super().__init__(f"{reason}; {advice}")
        self.reason = reason


def explain(error: Exception, repository: Repository, endpoint: str) -> YolactError:
    """The error to raise for an error of the client: each sentence says what to do."""
    from huggingface_hub import errors as hub

    if isinstance(error, YolactError):
        return error
    if isinstance(error, hub.LocalEntryNotFoundError) and isinstance(error.__cause__, Exception):
        return explain(error.__cause__, repository, endpoint)  # why it was not downloaded
    if isinstance(error, hub.GatedRepoError):
        return YolactError(
            f"{repository.id} is open only to those who accepted its terms; accept them on {endpoint}/{repository.id} "
            "and set HF_TOKEN to a token of that account"
        )
    if isinstance(error, hub.RevisionNotFoundError):
        return YolactError(f"{repository.id} has no revision {repository.revision}; leave out @ for its main branch")
    if isinstance(error, hub.RepositoryNotFoundError):
        return YolactError(
            f"there is no file {repository.id} here, and on {endpoint} no repository of that name, or a private one; "
            "check the name (yolact models lists those known), or set HF_TOKEN to a token that may read it"
        )
    if isinstance(error, hub.HFValidationError):
        return UsageError(f"{repository} is not a valid name of a repository: {one_line(error)}")
    if isinstance(error, hub.OfflineModeIsEnabled | hub.LocalEntryNotFoundError):
        return _not_cached(repository, "the hub is not asked or does not answer")
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(status, int):
        return _by_status(status, repository, endpoint)
    if isinstance(error, OSError) and (error.filename is not None or error.errno in _FULL):
        return YolactError(
            f"{repository} cannot be stored: {error.filename or 'the cache'}: {error.strerror}; free space, or set "
            "HF_HOME to a folder that can be written to"
        )
    return HubUnreachable(
        f"{repository} cannot be downloaded from {endpoint} ({type(error).__name__}: {one_line(error)[:200]})",
        "check the network, HF_ENDPOINT and the proxies, or download the file elsewhere and give its path",
    )


def offline(repository: Repository) -> HubUnreachable:
    """The error for a repository that is not in the cache while the hub may not be asked."""
    return _not_cached(repository, "HF_HUB_OFFLINE is set")


def _not_cached(repository: Repository, why: str) -> HubUnreachable:
    reason = f"{repository} was not downloaded before and {why}"
    return HubUnreachable(reason, "run this once with a network, or give the path of a file")


def _by_status(status: int, repository: Repository, endpoint: str) -> YolactError:
    if status in (401, 403):
        return YolactError(f"{endpoint} refuses to hand out {repository} ({status}); check the token in HF_TOKEN")
    if status == 404:
        return YolactError(f"{endpoint} has no {repository} (404); check the name and HF_ENDPOINT")
    if status == 429:
        return HubUnreachable(f"{endpoint} asks for fewer requests (429)", "wait some minutes, or set HF_TOKEN")
    return HubUnreachable(f"{endpoint} answers {status} for {repository}", "try again later")
