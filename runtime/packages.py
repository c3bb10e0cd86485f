"""Packages that only some of the toolkit needs, and the line that adds them to this very installation."""

from __future__ import annotations

from pathlib import Path

from yolact.runtime.errors import YolactError


class PackageMissing(YolactError, ImportError):
    """The request needs a package that is not installed. The message has the line that installs it."""

    def __init__(self, purpose: str, package: str | None, extra: str) -> None:
        super().__init__(f"{purpose} needs {package}; {how_to_install(extra)}")


def how_to_install(extra: str) -> str:
    """The command that adds an extra of the toolkit, as it works for the installation that runs."""
    clone = Path(__file__).resolve().parents[1]  # an editable installation is links into the clone
    if not (clone / "pyproject.toml").is_file():
        return f"install it with: pip install 'yolact[{extra}]'"
    where = "" if Path.cwd() == clone else f" in {clone}"
    return f"install it with: pip install -e '.[{extra}]'{where}"
