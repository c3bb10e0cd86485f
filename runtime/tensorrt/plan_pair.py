"""A plan and its sidecar, written so that a process killed at any moment leaves a pair that belongs together.

Two files cannot take their names at once. So the new sidecar is put beside the old one first, then the plan takes its
name, then the sidecar. Where a sidecar was left waiting, the plan's digest tells which of the two describes it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from yolact.runtime.errors import EngineError, YolactError
from yolact.runtime.output_files import replacing, write_output
from yolact.runtime.tensorrt.plan_file import read_sidecar, sidecar_of


def waiting_sidecar_of(plan: Path) -> Path:
    """The path at which the sidecar of a plan waits while it is written: `yolact.plan.json.next`."""
    return plan.with_name(f"{plan.name}.json.next")


def find_sidecar(plan: Path) -> Path | None:
    """The sidecar that describes a plan, None where there is none. A damaged one is found too."""
    waiting, settled = waiting_sidecar_of(plan), sidecar_of(plan)
    if waiting.is_file() and _describes(waiting, plan):
        return waiting
    return settled if settled.is_file() else None


def _describes(sidecar: Path, plan: Path) -> bool:
    try:
        identity, _ = read_sidecar(sidecar)
    except EngineError:
        return False
    return hashlib.sha256(plan.read_bytes()).hexdigest() == identity.plan_sha256


def write_pair(plan: Path, data: bytes, sidecar: bytes) -> None:
    """Write a plan and its sidecar: both, or neither. Raises YolactError where that fails."""
    waiting, settled = waiting_sidecar_of(plan), sidecar_of(plan)
    try:
        with replacing(plan) as partial:
            partial.write_bytes(data)
            write_output(waiting, sidecar)
    except OSError as error:
        waiting.unlink(missing_ok=True)
        raise YolactError(f"cannot write {plan}: {error.strerror}; free space or choose another place") from None
    try:
        waiting.replace(settled)
    except OSError as error:
        raise YolactError(f"cannot write {settled}: {error.strerror}; {waiting} belongs to {plan}") from None
