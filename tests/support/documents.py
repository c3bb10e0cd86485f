"""The Python in README and docs."""

from __future__ import annotations

import re
from pathlib import Path


def python_examples(page: Path) -> list[str]:
    """Every block of Python in a page, in their order."""
    return re.findall(r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
