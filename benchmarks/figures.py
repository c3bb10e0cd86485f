"""How benchmarks keep their figures. This module needs the standard library alone, for the check on a GPU."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from yolact.runtime.output_files import write_output


def write_figures(path: Path | None, figures: Any) -> None:
    """Write figures as JSON, whole or not at all; without a path write nothing.

    Raises YolactError where the file cannot be written; what was there before then stays.
    """
    if path is not None:
        write_output(path, (json.dumps(figures, indent=1) + "\n").encode())
