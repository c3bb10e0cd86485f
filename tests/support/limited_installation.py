"""Runs commands as an installation that lacks packages would: reads a request from stdin, writes the results to stdout.

The request is JSON: ``missing``, names of packages, and ``commands``, lists of arguments of `yolact`. A result is the
exit code, what was printed, and the exception that got out, if one did.
"""

from __future__ import annotations

import importlib.abc
import json
import sys
from collections.abc import Sequence
from typing import Any


class _Missing(importlib.abc.MetaPathFinder):
    """Finds that packages are not there."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = frozenset(names)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if name.split(".")[0] in self._names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def main() -> None:
    request = json.load(sys.stdin)
    sys.meta_path.insert(0, _Missing(request["missing"]))
    from click.testing import CliRunner

    from yolact.cli.main import main as yolact

    results = []
    for arguments in request["commands"]:
        result = CliRunner().invoke(yolact, arguments)
        escaped = None if isinstance(result.exception, SystemExit) else result.exception
        results.append((result.exit_code, result.output, repr(escaped) if escaped else ""))
    results.append((0, _to_supervision(), ""))
    json.dump(results, sys.stdout)


def _to_supervision() -> str:
    import numpy as np

    from yolact.runtime.detections import Detections
    from yolact.runtime.errors import YolactError
    from yolact.runtime.images.geometry import ImageTransform

    none = np.zeros((0, 4), np.float32)
    found = Detections(none, none[:, 0], np.zeros(0, np.int32), None, none.reshape(0, 2, 2), ImageTransform((4, 4)))
    try:
        found.to_supervision()
    except YolactError as error:
        assert isinstance(error, ImportError)
        return str(error)
    return "done"


if __name__ == "__main__":
    main()
