"""Reports an installation that does not fit the files it points to, before some import fails."""

from __future__ import annotations

import sys
from pathlib import Path


def check_installation() -> None:
    """Raise ImportError where `yolact` is no package but only a folder of that name; a command ends with the sentence.

    That is so in a clone that was installed with `pip install -e` before it had the folder `yolact/`: the installation
    still finds the folders beside it by their old list, and the commands still ask for modules that have moved.
    """
    if getattr(sys.modules["yolact"], "__file__", None) is not None:
        return
    import shlex  # rarely needed, and every use of the toolkit loads this module

    clone = Path(__file__).resolve().parents[1]
    command = shlex.join([sys.executable, "-m", "pip", "install", "-e", str(clone)])
    message = f"yolact is found in {clone}, but its installation is older than these files, or missing; run: {command}"
    is_command = Path(sys.argv[0]).name.startswith("yolact") or sys.argv[0] == "-m"  # -m: Python looks for the command
    if is_command:
        sys.exit(f"error: {message}")
    raise ImportError(message)
