"""The command `yolact-doctor`: what this machine has, and whether an engine file runs on it."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from yolact.cli.command import command, say
from yolact.cli.options.common import engine_option
from yolact.cli.options.engine import engine_options
from yolact.runtime.errors import EngineError

if TYPE_CHECKING:
    from yolact.runtime.doctor import Finding
    from yolact.runtime.engine import EngineOptions


@command("yolact-doctor")
@engine_option("ONNX file or TensorRT plan: say whether it runs here, and if not, why.", required=False)
@engine_options
def main(engine: Path | None, open_options: EngineOptions) -> None:
    """Report the versions and the state of everything that running an engine file depends on.

    Exit codes: 0 done (missing parts are no failure), 2 wrong usage, 4 the engine given cannot run here.
    """
    from yolact.runtime.doctor import examine_engine, examine_machine

    _print(examine_machine())
    if engine is None:
        return
    say("")
    say(str(engine))
    findings = list(examine_engine(engine, open_options))
    _print(findings)
    if not findings[-1].usable:
        sys.exit(EngineError.exit_code)


def _print(findings: Iterable[Finding]) -> None:
    for title, usable, text in findings:
        say(f"{'ok' if usable else '--'}  {title:<17} {text}")


if __name__ == "__main__":
    main()
