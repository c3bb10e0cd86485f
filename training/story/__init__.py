"""What a training run tells of itself: its opening table, metrics, curves, sample pictures and page."""
