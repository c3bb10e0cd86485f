"""The command `yolact-doctor`: what this machine has, and whether an engine file runs on it."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from yolact import __version__
from yolact.cli.command import reports_errors, running_options
from yolact.runtime.errors import EngineError

if TYPE_CHECKING:
    from yolact.runtime.doctor import Finding
    from yolact.runtime.engine import DeviceChoice


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--engine",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="ONNX file or TensorRT plan: say whether it runs here, and if not, why.",
)
@running_options
@click.version_option(__version__)
@reports_errors
def main(engine: Path | None, device: DeviceChoice | None, metadata_file: Path | None, allow_host_code: bool) -> None:
    """Report the versions and the state of everything that running an engine file depends on.

    Exit codes: 0 done (missing parts are no failure), 2 wrong usage, 4 the engine given cannot run here.
    """
    from yolact.runtime.doctor import examine_engine, examine_machine

    _print(examine_machine())
    if engine is None:
        return
    click.echo(click.format_filename(f"\n{engine}"))
    findings = list(examine_engine(engine, device, metadata_file, allow_host_code=allow_host_code))
    _print(findings)
    if not findings[-1].usable:
        sys.exit(EngineError.exit_code)


def _print(findings: Iterable[Finding]) -> None:
    for title, usable, text in findings:
        click.echo(click.format_filename(f"{'ok' if usable else '--'}  {title:<17} {text}"))


if __name__ == "__main__":
    main()
