"""What tracking and smoothing are worth."""
