"""The command `yolact-batch`: detections of many images, by workers on one machine or many."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from yolact.cli.command import command, note, report, say
from yolact.cli.options.common import engine_option, max_pixels_option
from yolact.cli.options.engine import engine_options
from yolact.cli.options.values import AT_LEAST_1, check_fraction
from yolact.runtime.wording import count_noun

if TYPE_CHECKING:
    from yolact.runtime.engine import EngineOptions
    from yolact.runtime.results import MaskFormat


@command("yolact-batch")
@engine_option("ONNX file written by yolact-export, or a TensorRT plan; or weights, or owner/name on Hugging Face.")
@click.option(
    "--input",
    "uri",
    metavar="URI",
    required=True,
    help="Folder of images or Parquet files, a quoted pattern, or an annotation file (.json) in COCO's format; a path, "
    "or a URI such as s3://bucket/photos.",
)
@click.option(
    "--output", metavar="DIR|URI", required=True, help="Folder for the results; that of an unfinished run resumes it."
)
@click.option(
    "--images", metavar="DIR|URI", help="Folder of an annotation file's images.  [default: the file's folder]"
)
@click.option("--column", metavar="NAME", help="Column of Parquet files that holds the bytes of images.")
@click.option(
    "--masks",
    type=click.Choice(["rle", "polygon", "none"]),
    default="rle",
    help="Form of the masks: COCO run-length encoding, polygons, or none.",
)
@click.option(
    "--score-threshold",
    type=float,
    default=0.0,
    callback=check_fraction,
    help="Leave out detections with a lower score; with 0, all that the engine keeps are written.",
)
@click.option("--batch-size", type=AT_LEAST_1, help="Images per call of an engine.  [default: 8 on a GPU, else 1]")
@click.option("--workers", type=AT_LEAST_1, help="Parallel detectors.  [default: one per GPU, or one per two cores]")
@click.option(
    "--address",
    metavar="auto|HOST:PORT",
    help="Use the Ray cluster at this address.  [default: Ray is started here and ended afterwards]",
)
@engine_options
@max_pixels_option()
def main(
    engine: Path,
    uri: str,
    output: str,
    images: str | None,
    column: str | None,
    masks: MaskFormat,
    score_threshold: float,
    batch_size: int | None,
    workers: int | None,
    address: str | None,
    open_options: EngineOptions,
) -> None:
    """Find instances in many images and write them as Parquet files.

    DIR gets manifest.json, plan.parquet and the results in a folder named detections: a row for each detection, one for
    an image without detections, and one with the error for an image that cannot be read. The same command resumes a run
    that ended in any way, and adds images that are new in the input; each image is in the results once.

    Workers are processes of Ray, on this machine or on all machines of a cluster. Each machine needs this toolkit, the
    engine under the same path, and URIs with the same meaning.

    Exit codes: 0 done, though images may have errors, 1 some images are not done or the output failed, 2 wrong usage,
    4 the engine does not fit a worker's runtime, 130 interrupted.
    """
    from yolact.batch.job import run_batch
    from yolact.batch.request import BatchRequest

    request = BatchRequest(
        engine,
        uri,
        output,
        images=images,
        column=column,
        masks=masks,
        score_threshold=score_threshold,
        batch_size=batch_size,
        workers=workers,
        address=address,
        open_options=open_options,
    )
    result = run_batch(request, note)
    for failure in result.failures:
        report(failure)
    before = f", {result.done_before:,} of them done before" if result.done_before else ""
    say(f"{count_noun(result.images, 'image')}{before}: {count_noun(result.detections, 'detection')}")
    if result.unreadable:
        say(f"{count_noun(result.unreadable, 'image')} without a result; the column error says why")
    if result.failures:
        sys.exit(1)


if __name__ == "__main__":
    main()
