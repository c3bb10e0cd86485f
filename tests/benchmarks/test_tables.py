"""`python -m benchmarks.tables`: documents show what was measured, and nothing else."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result
from repository import ROOT

from benchmarks.gpu.kernels.report import Row
from benchmarks.tables.__main__ import main
from benchmarks.tables.documents import generate
from benchmarks.tables.results import RESULTS_SHOWN

RESULTS = ROOT / "benchmarks" / "results"

ROW = {
    "label": "engine | A",
    "rounded": False,
    "agreement": {"detections": 300, "missed": 6, "spurious": 4, "median_mask_iou": 0.98, "largest_difference": 4e-5},
    "ms": {"median": 512.4, "p10": 498.6, "p90": 530.2},
    "times_as_fast": 1.625,
    "peak_memory_mb": 431.6,
    "parts_ms": {"engine": 500.06, "around": 0.94, "masks": 12.3},
}
CPU = {
    "machine": {"cpu": "Some CPU, 2 cores", "torch": "2.13.0"},
    "end_to_end": {
        "ours-fp32": ROW,
        "b": {"label": "B", "rounded": True, "failed": "b is not installed"},
        "c": ROW | {"label": "C", "rounded": True},
    },
    "heads": {
        "ours-fp32": {key: value for key, value in ROW.items() if key != "times_as_fast"},
        "c": ROW | {"label": "C", "rounded": True},
    },
    "in_graph_postprocessing_ms": 20.35,
    "large_photo": {"size": [3000, 4000], "detections": 100, "peak_memory_mb": 432.2},
    "trained": {
        "bins": {
            "checkpoint": "some.pth",
            "pictures": 7,
            "rows": {
                "ours-fp32": ROW | {"ap": {"mask": 0.5639, "box": 0.5747}},
                "b": {"label": "B", "failed": "no"},
            },
        },
    },
}
SHOWN = """\
|  | ms | 10 % to 90 % | times as fast as eager | peak memory, MB | what it finds |
|---|---|---|---|---|---|
| engine \\| A | 512 | 499 to 530 | 1.62 | 432 | all but 6 of 300, mask IoU 0.980 |
| B | not run: b is not installed |  |  |  |  |
| C | 512 | 499 to 530 | 1.62 | 432 | rounds |

|  | ms | 10 % to 90 % | times as fast as eager | peak memory, MB | largest difference |
|---|---|---|---|---|---|
| engine \\| A | 512 | 499 to 530 |  | 432 | 4e-05 |
| C | 512 | 499 to 530 | 1.62 | 432 | rounds |

| ms | engine | around it | masks at image size |
|---|---|---|---|
| engine \\| A | 500.1 | 0.9 | 12.3 |
| C | 500.1 | 0.9 | 12.3 |

|  |  |
|---|---|
| post-processing inside the graph, FP32 | 20.4 ms |
| peak memory, 100 instances in a 4000x3000 photo and their masks in RLE | 432 MB |

| some.pth, 7 pictures | ms | 10 % to 90 % | times as fast as eager | peak memory, MB | mask AP | box AP |
|---|---|---|---|---|---|---|
| engine \\| A | 512 | 499 to 530 | 1.62 | 432 | 56.39 | 57.47 |
| B | not run: no |  |  |  |  |  |

[figures](../../benchmarks/results/cpu_runtimes.json) of \
`python -m benchmarks.cpu runtimes --nuclei DIR --json benchmarks/results/cpu_runtimes.json`: \
Some CPU, 2 cores, torch 2.13.0."""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """What the command reads and writes."""
    for part in ("docs", "benchmarks/results"):
        shutil.copytree(ROOT / part, tmp_path / part)
    (tmp_path / "benchmarks" / "tables").mkdir()
    for part in ("README.md", "benchmarks/tables/published.json"):
        shutil.copy(ROOT / part, tmp_path / part)
    return tmp_path


def run(root: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments, "--root", str(root)])


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) >= 1
    path.write_text(text.replace(old, new, 1))


def put(root: Path, name: str, figures: Any) -> None:
    (root / "benchmarks" / "results" / f"{name}.json").write_text(json.dumps(figures))


def test_documents_show_the_results_as_they_are() -> None:
    result = run(ROOT, "--check")
    assert result.exit_code == 0, result.output


def test_every_result_is_shown() -> None:
    paths = {path for result in RESULTS_SHOWN.values() for path in result.paths}
    assert {path.relative_to(ROOT) for path in RESULTS.glob("*.json")} <= paths
    text = "".join(path.read_text() for path in sorted((ROOT / "docs" / "results").glob("*.md")))

    def is_shown(name: str) -> bool:
        parts = [f"{name}/{part}" for part in RESULTS_SHOWN[name].tables]
        return any(all(f"<!-- begin generated: {one} -->" in text for one in names) for names in ([name], parts))

    shown = [result for name, result in RESULTS_SHOWN.items() if is_shown(name)]
    assert {path for result in shown for path in result.paths} == paths


def test_a_typed_figure_is_found_and_overwritten(copy: Path) -> None:
    path = copy / "docs" / "how-to" / "int8.md"
    exact = json.loads((RESULTS / "int8.json").read_text())["ap"]["bins"]["fp32"]["mask"]
    change(path, f"| fp32 | {exact:.2f} |", "| fp32 | 99.99 |")
    result = run(copy, "--check")
    assert result.exit_code == 1
    assert "docs/how-to/int8.md: stale int8/accuracy\n" in result.output
    assert "error: tables differ from the results of benchmarks; run python -m benchmarks.tables" in result.output
    assert "99.99" in path.read_text()
    assert run(copy).exit_code == 0
    assert path.read_text() == (ROOT / "docs" / "how-to" / "int8.md").read_text()


def test_a_new_measurement_is_found(copy: Path) -> None:
    path = copy / "benchmarks" / "results" / "deformable.json"
    figures = json.loads(path.read_text())
    figures["milliseconds"]["128x69x69"] = {"DeformConv": 10.0, "GridSample": 12.345}
    path.write_text(json.dumps(figures))
    result = run(copy, "--check")
    assert result.exit_code == 1 and "docs/results/cpu.md: stale deformable\n" in result.output
    assert run(copy).exit_code == 0
    assert "| 128x69x69 | 10.0 | 12.3 | 1.23 |" in (copy / "docs" / "results" / "cpu.md").read_text()
    assert run(copy, "--check").exit_code == 0


def test_text_outside_of_markers_is_left_alone(copy: Path) -> None:
    before = (copy / "README.md").read_text()
    put(copy, "cpu_runtimes", CPU)
    assert run(copy).exit_code == 0
    after = (copy / "README.md").read_text()
    assert after != before

    def outside(text: str) -> str:
        return re.sub(r"(?<=-->\n)(?:(?!<!--).)*(?=<!-- end)", "", text, flags=re.DOTALL)

    assert outside(after) == outside(before)


def test_the_comparison_on_a_cpu(copy: Path) -> None:
    put(copy, "cpu_runtimes", CPU)
    assert generate(copy, copy / "docs" / "results" / "cpu.md", "cpu_runtimes") == SHOWN
    only = generate(copy, copy / "README.md", "cpu_runtimes/bins")
    assert "| 56.39 | 57.47 |" in only and "what it finds" not in only
    assert "[figures](benchmarks/results/cpu_runtimes.json)" in only


CHART = Path("docs", "results", "cpu-speed.svg")
SVG = "{http://www.w3.org/2000/svg}"


def drawn(root: Path) -> list[tuple[str, str, str, float]]:
    """Of each row of the chart its label, its note, the class of its bar and how long that is."""
    svg = ElementTree.parse(root / CHART).getroot()
    texts = [element.text or "" for element in svg.iter(f"{SVG}text")][1:]
    bars = [one for one in svg.iter(f"{SVG}rect") if one.get("class") in ("ours", "bar")]
    lengths = [(one.get("class") or "", float(one.get("width") or "nan")) for one in bars]
    return [(*both, *bar) for both, bar in zip(zip(texts[::2], texts[1::2], strict=True), lengths, strict=True)]


def test_bars_are_the_figures() -> None:
    rows = json.loads((RESULTS / "cpu_runtimes.json").read_text())["end_to_end"]
    measured = rows.values()
    labels, notes, kinds, lengths = zip(*drawn(ROOT), strict=True)
    assert labels == tuple(row["label"].replace("`", "") for row in measured)
    assert notes == tuple(f"{row['ms']['median']:.0f} ms" for row in measured)
    assert kinds == tuple("ours" if name.startswith("ours") else "bar" for name in rows)
    for length, row in zip(lengths, measured, strict=True):
        assert length / max(lengths) == pytest.approx(
            row["ms"]["median"] / max(other["ms"]["median"] for other in measured), abs=2e-4
        )


def test_the_chart_is_renewed(copy: Path) -> None:
    old = (copy / CHART).read_bytes()
    label = 'A < B & "C"'
    put(copy, "cpu_runtimes", CPU | {"end_to_end": CPU["end_to_end"] | {"c": ROW | {"label": label}}})
    result = run(copy, "--check")
    assert result.exit_code == 1 and f"{CHART.as_posix()}: stale the chart\n" in result.output
    assert (copy / CHART).read_bytes() == old
    assert run(copy).exit_code == 0 and run(copy, "--check").exit_code == 0
    assert drawn(copy) == [
        ("engine | A", "512 ms", "ours", 430.0),
        ("B", "not run: b is not installed", "bar", 0.0),
        (label, "512 ms", "bar", 430.0),
    ]
    sentence = generate(copy, copy / "README.md", "cpu_speed")
    assert "engine | A: 512; B: not run: b is not installed; A < B" in sentence and "Some CPU" in sentence
    (copy / CHART).unlink()
    assert run(copy, "--check").exit_code == 1
    (copy / "benchmarks" / "results" / "cpu_runtimes.json").unlink()
    assert f"{CHART.as_posix()}: " not in run(copy, "--check").output, "there is nothing to draw it from"


def test_models_have_what_is_published(copy: Path) -> None:
    """One file says both figures of a network twice, for models and for rows."""
    rows = json.loads((ROOT / "benchmarks/tables/published.json").read_text())["rows"]
    known = {row["model"]: (row["mask_ap"], row["fps"]) for row in rows if "model" in row}
    lines = generate(copy, copy / "README.md", "models/official").splitlines()[2:]
    cells = [[cell.strip() for cell in line.split("|")] for line in lines]
    shown = {cell[1].split("`")[1]: (float(cell[4]), float(cell[5])) for cell in cells}
    assert shown == known and len(known) == 6


def test_missing_results_are_not_measured(copy: Path) -> None:
    for path in (copy / "benchmarks" / "results").iterdir():
        path.unlink()
    assert run(copy).exit_code == 0
    text = "".join((copy / "docs" / "results" / f"{name}.md").read_text() for name in ("accuracy", "cpu", "gpu"))
    command = "python -m benchmarks.cpu runtimes --nuclei DIR --json benchmarks/results/cpu_runtimes.json"
    assert f"Not yet measured: `{command}`." in text
    assert (
        "Not yet run on a GPU: `python -m benchmarks.gpu kernels --json benchmarks/results/gpu_kernels.json`." in text
    )
    assert text.count("Not yet measured: ") == 17 and "| fp32 |" not in text
    assert "Titan Xp" in text, "other people's figures are no results of ours"


def test_a_result_of_a_gpu(copy: Path) -> None:
    row = vars(Row("both plugins", 1, "fp16", "realistic", 10, 2.0, 50.0, official=1500.0)) | {"aims": {}}
    put(copy, "gpu_kernels", {"machine": {"cpu": "x", "gpu": "y"}, "rows": [row]})
    text = generate(copy, copy / "docs" / "a.md", "gpu_kernels")
    assert "| both plugins | 1 | fp16 | realistic | 50.0 | 2.00 | 25.0 | 1500.0 | 30.0 |" in text
    assert text.endswith(": x, gpu y.")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        (
            "int8",
            "{",
            r"int8\.json: expected the figures of .*; write it again with python -m benchmarks\.accuracy int8",
        ),
        ("int8", "[]", "int8.json: expected the figures"),
        ("int8", '{"ap": {}}', "KeyError: 'pictures'"),
        ("training_demo", '{"config": "x"}', r"training\.json and .*training_demo\.json: expected the figures"),
        ("deformable", '{"milliseconds": {"a": {"DeformConv": "1", "GridSample": 2}}}', "deformable.json: expected"),
        ("plans", b"\xff\xfe", "plans.json: expected"),
    ],
)
def test_a_damaged_result_is_named(copy: Path, name: str, content: str | bytes, reason: str) -> None:
    path = copy / "benchmarks" / "results" / f"{name}.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    before = {document: document.read_text() for document in copy.rglob("*.md")}
    result = run(copy)
    assert result.exit_code == 1 and re.search(reason, result.output), result.output
    assert result.output.startswith("error: ") and result.output.count("\n") == 1
    assert before == {document: document.read_text() for document in copy.rglob("*.md")}


BEGIN, END = "<!-- begin generated: int8 -->", "<!-- end generated: int8 -->"


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([BEGIN], "begin generated: int8 has no end"),
        ([END], r"new\.md:1: .* has no partner"),
        ([BEGIN, BEGIN, END], r"new\.md:2: .* has no partner"),
        ([BEGIN, END.replace("int8", "plans")], r"new\.md:2: .* has no partner"),
        ([BEGIN.replace("int8", "int9"), END.replace("int8", "int9")], "there is no table int9; .* int8/accuracy"),
        ([BEGIN.replace("int8", "int8/x"), END.replace("int8", "int8/x")], "there is no table int8/x"),
    ],
)
def test_markers_must_fit(copy: Path, lines: list[str], reason: str) -> None:
    (copy / "docs" / "new.md").write_text("\n".join(lines) + "\n")
    result = run(copy, "--check")
    assert result.exit_code == 1 and re.search(reason, result.output), result.output
    assert result.output.startswith("error: ")


def test_the_aims_are_compared_with_what_was_measured(copy: Path) -> None:
    def row(median: float, **others: float) -> dict[str, object]:
        return {"ms": {"median": median}, **others}

    whole = {"ours-fp32": row(50), "ours-int8": row(20, times_as_fast=4.0), "ncnn-fp32": row(60)}
    whole["ours-raw-int8"] = row(13.7)
    heads = {"ours-fp32": row(40), "openvino-fp32": row(30), "ours-int8": row(13), "openvino-int8": row(10)}
    heads |= {"ours-openvino-fp32": row(30.9), "ours-openvino-int8": row(10.4), "ours-openvino-auto": row(20)}
    put(copy, "cpu_runtimes", {"end_to_end": whole, "heads": heads})
    put(copy, "folder", {"engines": {"yolact_demo": {"share": 0.8}, "yolact_base": {"share": 0.949}}})
    put(copy, "bench_cpu", {"by_detections": {"width_px": 9, "height_px": 8, "ms_per_detection": 0.2}})
    lines = generate(copy, copy / "docs" / "results" / "performance.md", "aims").splitlines()[2:14]
    assert [re.split(r" \| ?", line)[1:4] for line in lines] == [
        ["at least 4", "4", "met"],
        ["at least 1", "1.2", "met"],
        ["at least 1", "not measured", ""],
        ["at most 1.3", "1.33", "not met"],
        ["at most 1.3", "1.3", "met"],
        ["at most 1.05", "1.05", "not met"],
        ["at most 1.03", "1.03", "met"],
        ["at most 1.03", "not measured", ""],
        ["at most 1.03", "1.04", "not met"],
        ["at least 0.8", "0.8", "met"],
        ["at least 0.95", "0.949", "not met"],
        ["at most 0.2", "0.2", "met"],
    ]
