"""The commands: each a module of its name, what they share in `command` and `options`. Nothing imports this folder."""
