"""Measurements of the toolkit beside its alternatives; README.md lists the rooms and their commands."""
