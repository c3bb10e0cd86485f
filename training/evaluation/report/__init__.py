"""The report of an evaluation: a page to read and its figures in JSON."""
