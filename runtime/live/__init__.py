"""Watching a run while it goes on: a window, and a page for browsers."""
