"""Recognises files that are no checkpoints by their first bytes, with advice."""

from __future__ import annotations

import re
from collections.abc import Iterable

from yolact.runtime.wording import printable

HEAD_SIZE = 512
"""Bytes of a file's beginning that tell what it is."""

_AGAIN = "download the file itself"

_BEGINNINGS: tuple[tuple[bytes, str], ...] = (
    (b"version https://git-lfs", f"a Git LFS pointer instead of the file it stands for; run git lfs pull, or {_AGAIN}"),
    (b"<?xml", f"an XML text, as servers send instead of a file that they do not give; {_AGAIN}"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras writes it; expected PyTorch's tensors"),
    (b"\x93NUMPY", "a NumPy array; expected PyTorch's tensors"),
    (b"\x1f\x8b", "an archive (gzip); unpack it first"),
    (b"BZh", "an archive (bzip2); unpack it first"),
    (b"\xfd7zXZ", "an archive (xz); unpack it first"),
    (b"(\xb5/\xfd", "an archive (zstd); unpack it first"),
    (b"7z\xbc\xaf", "an archive (7z); unpack it first"),
    (b"Rar!", "an archive (rar); unpack it first"),
    (b"\x00\x00\x00\x00\x02\x00\x00\x00", "a .weights file of Darknet; expected PyTorch's tensors"),
    (b"ftrt", "a TensorRT plan; give it as --engine"),
)

_LEGACY = re.compile(rb"\x80.(?:\x95.{8})?\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19\.", re.DOTALL)
"""The beginning of a file of torch.save's older format: a pickle of its magic number."""

_MAGIC_SIZE = 25

_WEB_PAGE = re.compile(
    rb"\s*(?:<!--.*?-->\s*)?<(?:!doctype html|html|head|body|script|title)\b", re.IGNORECASE | re.DOTALL
)
_JSON = re.compile(rb"\s*[{\[]\s*[\"}\]{]")
_ONNX = re.compile(rb"\x08[\x01-\x1f](?:\x12|\x1a|:)")
"""The first field of an ONNX file is the version of its format, then come its producer's name or the graph."""


def kind_by_beginning(head: bytes) -> str | None:
    """The kind of a file by its beginning, as the rest of a sentence after "is"; None where it may be a checkpoint."""
    if not head:
        return "empty; download or copy it again"
    for beginning, kind in _BEGINNINGS:
        if head.startswith(beginning):
            return kind
    if _WEB_PAGE.match(head.removeprefix(b"\xef\xbb\xbf")):
        return f"a web page that was saved in the place of a file; {_AGAIN}, in a browser where a page asks first"
    if b"/annex/objects/" in head and len(head) < HEAD_SIZE:
        return f"a git-annex pointer instead of the file it stands for; run git annex get, or {_AGAIN}"
    if b'"weight_map"' in head:
        return "the list of a checkpoint's parts, not the weights; take the files of tensors that it names"
    if _JSON.match(head):
        return f"a JSON text, as servers send instead of a file that they do not give; {_AGAIN}"
    if _ONNX.match(head):
        return "an ONNX file; give it as --engine"
    if head[257:262] == b"ustar":
        return "an archive (tar); unpack it first"
    if head.startswith(b"\x80") and len(head) > _MAGIC_SIZE and not _LEGACY.match(head):
        return "a pickle that torch.save has not written; load it with pickle and save its tensors with torch.save"
    return _kind_of_text(head)


def _kind_of_text(head: bytes) -> str | None:
    """Servers send short sentences, such as "404: Not Found", in the place of a file."""
    try:
        text = head.decode()
    except UnicodeDecodeError:
        return None
    if len(head) < 4 or not text.replace("\n", " ").replace("\r", " ").replace("\t", " ").isprintable():
        return None
    return f"a text that begins with {' '.join(text.split())[:40]!r}, no file of tensors; {_AGAIN}"


def kind_by_parts(names: Iterable[str]) -> str | None:
    """The same of a file in the zip format, by the names of its parts."""
    parts = [name.rpartition("/")[2] for name in names]
    if "constants.pkl" in parts:
        return (
            "a TorchScript program, whose code is not run; load it with torch.jit.load and save its weights with "
            "torch.save(program.state_dict(), path)"
        )
    if any("exported_program" in part or part == "archive_format" for part in parts):
        return "a program of torch.export; expected the tensors, as torch.save(model.state_dict(), path) writes them"
    if "data.pkl" in parts:
        return None
    if any(part.endswith(".npy") for part in parts):
        return "an archive of NumPy arrays; expected PyTorch's tensors"
    inside = [name for name in names if name.lower().endswith((".pth", ".pt", ".safetensors"))]
    if inside:
        return f"a zip archive with {printable(inside[0][-80:])} in it; unpack it first"
    return "a zip archive without tensors of PyTorch; expected what torch.save(model.state_dict(), path) writes"
