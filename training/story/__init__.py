"""The story of a training run: its opening table, metrics, curves, sample pictures and page."""
