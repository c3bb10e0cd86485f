"""`yolact-eval --detections` beside `yolact-eval --engine` on the same images."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import missing
import pytest
from batch_jobs import Run
from click.testing import CliRunner, Result
from scripted_dataset import DATA, scripted_dataset, write_images
from scripted_engine import write_engine

from yolact.cli.eval import main
from yolact.training.evaluation.report.files import PAGE

pytest.importorskip("pycocotools", reason=missing.PYCOCOTOOLS)


@pytest.fixture
def data(here: Path) -> dict[str, Any]:
    content = scripted_dataset()
    write_images(content, here / "images")
    (here / "annotations.json").write_text(json.dumps(content))
    return content


def evaluate(*arguments: str | Path) -> Result:
    result = CliRunner().invoke(main, [*map(str, arguments), *DATA])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.mark.parametrize("rescored", [False, True])
@pytest.mark.parametrize("limits", [(), ("--max-detections", "2")])
def test_the_same_figures(run: Run, data: dict[str, Any], here: Path, rescored: bool, limits: tuple[str, ...]) -> None:
    engine = write_engine(here / "e.onnx", mask_scores=[0.2, 0.6, 0.5, 0.4] if rescored else None)
    run(engine=engine, input="images", output="out")
    options = (*limits, "--json", "found.json", "--report")
    expected = evaluate("--engine", engine, *options, "by_engine")
    wanted = json.loads(Path("found.json").read_text())
    got = evaluate("--detections", "out", *options, "by_detections")
    assert (got.exit_code, got.stderr) == (0, "")
    lines = expected.stdout.splitlines()
    assert got.stdout.splitlines() == lines[:-3] and "images/s" in lines[-1]
    assert sorted(map(str, json.loads(Path("found.json").read_text()))) == sorted(map(str, wanted)) and wanted
    metrics, own = (json.loads(Path(f"by_{way}/metrics.json").read_text()) for way in ("engine", "detections"))
    assert own["speed"]["images_per_second"] is None and "images/s" not in (Path("by_detections") / PAGE).read_text()
    assert own["mask"] == metrics["mask"] and own["confusion"] == metrics["confusion"]


def test_results_of_renamed_images_and_of_more(run: Run, data: dict[str, Any], here: Path, engine: Path) -> None:
    """Images are told by what is in them, so the ones that were detected in may lie anywhere under any name."""
    (here / "elsewhere").mkdir()
    for number, path in enumerate(sorted((here / "images").iterdir(), reverse=True)):
        (here / "elsewhere" / f"{number}.png").write_bytes(path.read_bytes())
        (here / "elsewhere" / f"{number}-again.png").write_bytes(path.read_bytes())
    run(input="elsewhere", output="out")
    expected = evaluate("--engine", engine).stdout.splitlines()
    assert evaluate("--detections", "out").stdout.splitlines() == expected[:-3]


def test_a_threshold_is_told(run: Run, data: dict[str, Any]) -> None:
    run(input="images", output="out", score_threshold=0.75)
    assert evaluate("--detections", "out").stdout.splitlines()[1].startswith("scores above 0.75, ")


def damaged(path: Path) -> None:
    """Change one bit, so that a reader who compares no checksums reads other rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    whole = path.read_bytes()
    rows = pq.read_table(pa.BufferReader(whole))
    for place in range(4, len(whole)):
        data = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
        with suppress(pa.ArrowException, OSError, UnicodeDecodeError):
            if not pq.read_table(pa.BufferReader(data)).equals(rows):
                path.write_bytes(data)
                return
    raise AssertionError("no bit was found whose change goes unnoticed")


def test_refused(run: Run, data: dict[str, Any], here: Path, engine: Path) -> None:
    first = sorted((here / "images").iterdir())[0]
    run(input="images", output="out")
    run(input="images", output="none", masks="none")
    run(input=str(first), output="few")
    Path("strange").mkdir()
    part = Path("out/detections/part-000000.parquet")
    for words, code, sentence in (
        (("--detections", "out", "--engine", engine), 2, "--detections takes the place of the model; leave out"),
        (("--detections", "out", "--stability"), 2, "--detections runs no model"),
        (("--detections", "out", "--device", "cpu"), 2, "--detections runs no model"),
        (("--detections", "nowhere"), 2, "there is no such folder; expected one that yolact-batch wrote"),
        (("--detections", "none"), 2, "was made with --masks none"),
        (("--detections", "out", "--max-detections", "5"), 2, "--max-detections 5: expected 1 to 4, the most"),
        (("--detections", "out", "--json", part), 2, " is one of the inputs"),
        (("--detections", "few"), 1, "2 annotated images of 3 have no stored detections, such as "),
        (("--detections", "strange"), 1, "strange/manifest.json: "),
        ((), 2, "expected either --engine or --weights, got neither"),
    ):
        result = evaluate(*words)
        assert (result.exit_code, result.stdout) == (code, "") and sentence in result.stderr, result.stderr
        assert result.stderr.count("\n") == 1
    damaged(part)
    result = evaluate("--detections", "out")
    assert result.exit_code == 1 and "part-000000.parquet is damaged" in result.stderr


def test_an_image_without_a_result(run: Run, data: dict[str, Any], here: Path) -> None:
    first = sorted((here / "images").iterdir())[0]
    whole = first.read_bytes()
    first.write_bytes(whole[:-20])
    run(input="images", output="out")
    for content in (whole, whole[:-20]):
        first.write_bytes(content)
        result = evaluate("--detections", "out")
        assert result.exit_code == 1 and first.name in result.stderr and result.stderr.count("\n") == 1
