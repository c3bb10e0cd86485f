"""The command `yolact-triton`: an engine file to a model repository of NVIDIA Triton."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from yolact.cli.command import command, report, require_packages, say
from yolact.cli.options.common import engine_option, score_threshold_option
from yolact.cli.options.values import AT_LEAST_1, OUTPUT_FOLDER, parse_words
from yolact.runtime.config import DISPLAY_TOP_K

if TYPE_CHECKING:
    from yolact.runtime.triton.wire import MaskCoding
    from yolact.serving.settings import Backend

_MASKS = ("rle", "bits", "polygons", "none")
_BACKENDS = ("python", "onnxruntime", "tensorrt")


def _parse_gpus(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[int, ...]:
    words = () if value is None else parse_words(value)
    if not all(word.isascii() and word.isdigit() and len(word) < 4 for word in words):
        raise click.BadParameter(f"expected indices of GPUs separated by commas, such as 0,1, got {value!r}")
    return tuple(map(int, words))


@command("yolact-triton")
@engine_option("ONNX file written by yolact-export, or a TensorRT plan; or weights, or owner/name on Hugging Face.")
@click.option(
    "--repository", metavar="DIR", type=OUTPUT_FOLDER, required=True, help="Model repository; created if needed."
)
@click.option("--name", default="yolact", help="Name of the model, by which clients ask for it.")
@click.option(
    "--masks",
    default="rle",
    type=click.Choice(_MASKS),
    help="How masks are sent: COCO run-length encoding, packed bits inside regions, outlines, or not at all.",
)
@click.option(
    "--backend",
    default="python",
    type=click.Choice(_BACKENDS),
    help="Backend that runs the network: this toolkit's runtime in Triton's python backend, or one of Triton's own.",
)
@click.option("--max-batch", type=AT_LEAST_1, help="Most images in a batch.  [default: the engine's limit, else 8]")
@click.option("--instances", default=1, type=AT_LEAST_1, help="Copies of the model; with GPUs, copies on each GPU.")
@click.option(
    "--gpus",
    metavar="LIST",
    callback=_parse_gpus,
    help="Indices of the GPUs that the model runs on, such as 0,1.  [default: all for a plan, none for an ONNX file]",
)
@click.option("--queue", default=256, type=AT_LEAST_1, help="Most requests that may wait; further ones are refused.")
@score_threshold_option()
@click.option(
    "--top-k",
    default=DISPLAY_TOP_K,
    type=AT_LEAST_1,
    help="Most detections to send per image, unless a request says otherwise.",
)
@click.option("--check", is_flag=True, help="Write nothing; report whether the repository serves this engine.")
def main(
    engine: Path,
    repository: Path,
    name: str,
    masks: MaskCoding,
    backend: Backend,
    max_batch: int | None,
    instances: int,
    gpus: tuple[int, ...],
    queue: int,
    score_threshold: float,
    top_k: int,
    check: bool,
) -> None:
    """Write a model repository of NVIDIA Triton that serves an engine file.

    Clients send image files or pixels and get boxes, scores, classes and small masks. Running the command again with
    the same engine changes nothing; with another engine, the model gets a new version. docs/how-to/triton.md says how
    to start Triton.

    Exit codes: 0 done, 1 --check found a fault, or the folder cannot be written, 2 wrong usage, 4 the file is no engine
    file or breaks the contract, 130 interrupted.
    """
    require_packages("a model repository of Triton", "triton", "tritonclient.grpc.model_config_pb2")
    from yolact.serving.check import find_faults
    from yolact.serving.engine_facts import read_engine
    from yolact.serving.repository import write_repository
    from yolact.serving.settings import Settings

    settings = Settings(name, masks, backend, max_batch, instances, gpus, score_threshold, top_k, queue)
    facts = read_engine(engine)
    if check:
        faults = find_faults(repository, facts, name)
        if faults:
            report(f"{repository / name} does not serve {engine}:", *(f"  {fault}" for fault in faults))
            sys.exit(1)
        say(f"{repository / name} serves {engine}")
        return
    written = write_repository(repository, facts, settings)
    for folder in written:
        say(f"{engine} -> {folder}")
    if not written:
        say(f"{repository / name} serves {engine} already; nothing was written")


if __name__ == "__main__":
    main()
