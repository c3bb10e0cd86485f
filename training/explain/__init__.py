"""Explains how a network makes its masks, in numbers and in pictures."""
