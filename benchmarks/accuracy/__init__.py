"""What precisions below float32 cost in accuracy."""
