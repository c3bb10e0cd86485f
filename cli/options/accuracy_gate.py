"""How much accuracy an export may lose: --verify and the options that belong to it."""

from __future__ import annotations

from pathlib import Path

import click

from yolact.calib.options import MAX_AP_DROP
from yolact.cli.options.groups import given_options, option_group
from yolact.cli.options.reading import READING
from yolact.cli.options.values import AT_LEAST_1, EXISTING_FILE, EXISTING_FOLDER, check_amount
from yolact.export.accuracy_gate import GateRequest
from yolact.runtime.errors import UsageError
from yolact.training.data.coco.reading_rules import Exif, ReadingRules


@option_group(
    "gate",
    click.option(
        "--verify",
        type=EXISTING_FILE,
        metavar="ANNOTATIONS",
        help="Annotation file in COCO's format: measure AP in fp32 and as exported, and write nothing if mask AP falls "
        "by more than --max-ap-drop.",
    ),
    click.option("--verify-images", type=EXISTING_FOLDER, metavar="DIR", help="Folder of the images of --verify."),
    click.option("--verify-limit", type=AT_LEAST_1, help="Use only this many images, the first ones.  [default: all]"),
    click.option(
        "--max-ap-drop",
        type=float,
        default=MAX_AP_DROP,
        callback=check_amount,
        help="Points of mask AP that the export may lose.",
    ),
    *READING,
)
def gate_options(
    verify: Path | None,
    verify_images: Path | None,
    verify_limit: int | None,
    max_ap_drop: float,
    strict: bool,
    exif: Exif,
    by_name: bool | None,
) -> GateRequest | None:
    """The gate; None without --verify."""
    if (verify is None) != (verify_images is None):
        raise UsageError("--verify and --verify-images go together: annotations and the folder of their images")
    if verify is None or verify_images is None:
        given = given_options("verify_limit", "max_ap_drop", "strict", "exif", "by_name")
        if given:
            raise UsageError(f"{given[0]} is for --verify")
        return None
    return GateRequest(verify, verify_images, verify_limit, max_ap_drop, ReadingRules(strict, exif, by_name))
