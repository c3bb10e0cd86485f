"""The two files of a report."""

from __future__ import annotations

from pathlib import Path

from yolact.runtime.json_text import to_json
from yolact.runtime.output_files import write_outputs
from yolact.training.evaluation.report.findings import Findings
from yolact.training.evaluation.report.metrics import to_metrics
from yolact.training.evaluation.report.page import render
from yolact.training.evaluation.report.worst import worst_images

PAGE, METRICS = "report.html", "metrics.json"


def write_report(folder: Path, findings: Findings) -> None:
    """Write both files into a folder that is there, in the place of those of an earlier run; other files stay.

    Raises YolactError where one cannot be written; then both are as they were.
    """
    metrics = to_metrics(findings)
    page = render(findings, metrics, worst_images(findings.subject.truth, findings.outcomes))
    write_outputs({folder / METRICS: to_json(metrics, indent=1).encode(), folder / PAGE: page.encode()})
