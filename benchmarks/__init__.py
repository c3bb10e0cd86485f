"""Measurements of the toolkit beside what one would use instead; README.md lists the rooms and their commands."""
