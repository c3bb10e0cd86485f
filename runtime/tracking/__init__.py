"""Follows instances from frame to frame."""
