"""The command `yolact-models`: the models that are known by name, and their files on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from yolact.cli.command import command, say

if TYPE_CHECKING:
    from yolact.hub.known_models import KnownModel


@command("yolact-models")
def main() -> None:
    """List the models that are known by name: published mask AP on COCO test-dev, size, licence, and the files in the
    caches. No network connection is made.

    --weights and --engine take these names. They also take other repositories on Hugging Face, as owner/name,
    owner/name@revision or owner/name:file.pth.

    Exit codes: 0 done, 2 wrong usage.
    """
    from yolact.hub.engine_cache import list_entries
    from yolact.hub.known_models import KNOWN_MODELS

    entries = list(list_entries())
    width = max(len(model.name) for model in KNOWN_MODELS)
    say(f"{'name':<{width}}  mask AP      MB  licence    backbone")
    for model in KNOWN_MODELS:
        precision = "-" if model.mask_ap is None else f"{model.mask_ap:.1f}"
        size = "?" if model.size is None else f"{model.size / 1e6:.1f}"
        say(f"{model.name:<{width}}  {precision:>7}  {size:>6}  {model.licence:<9}  {_describe(model)}")
        if (path := _downloaded(model)) is not None:
            say(f"  downloaded: {path} ({path.stat().st_size:,} bytes)")
        for file, total in entries:
            if file.stem == model.file.rpartition(".")[0]:
                say(f"  exported: {file} ({total:,} bytes)")
    known = {model.file.rpartition(".")[0] for model in KNOWN_MODELS}
    for line in _others([(str(file), total) for file, total in entries if file.stem not in known]):
        say(line)


def _describe(model: KnownModel) -> str:
    if model.image_size is None:
        return f"{model.backbone}, trained on ImageNet, to train from"
    return f"{model.backbone}, {model.image_size} pixels"


def _downloaded(model: KnownModel) -> Path | None:
    from yolact.hub.client import find_downloaded
    from yolact.runtime.model_names import parse_name

    repository = parse_name(model.name)
    assert repository is not None
    return find_downloaded(repository)


def _others(entries: list[tuple[str, int]]) -> Iterator[str]:
    """Lines about exports of other weights."""
    if entries:
        yield "exported from other weights:"
    for file, total in entries:
        yield f"  {file} ({total:,} bytes)"


if __name__ == "__main__":
    main()
