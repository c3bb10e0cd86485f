"""Whole detectors side by side on a GPU; the check runs them as steps."""
