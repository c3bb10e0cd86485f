"""nvidia-smi's report on the first GPU. This module needs the standard library alone."""

from __future__ import annotations

import subprocess

SECONDS = 30


def ask_nvidia_smi(*fields: str) -> dict[str, str]:
    """The answers by the names of the fields (`nvidia-smi --help-query-gpu`), or under "missing" a clause with the
    reason why there are none."""
    command = ["nvidia-smi", "--id=0", f"--query-gpu={','.join(fields)}", "--format=csv,noheader"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        return {"missing": f"nvidia-smi does not run ({type(error).__name__})"}
    values = [value.strip() for value in told.stdout.split(",")]
    if told.returncode or len(values) != len(fields):
        return {"missing": f"nvidia-smi says: {' '.join((told.stdout + told.stderr).split())[:200] or 'nothing'}"}
    return dict(zip(fields, values, strict=True))
