"""The commands: each a module of its name, what they share in `command` and `options`. Nothing imports this folder."""

import yolact.runtime  # noqa: F401  first of all, it checks the installation
