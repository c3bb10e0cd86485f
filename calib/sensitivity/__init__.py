"""What INT8 costs in each part of a network: what `yolact-sensitivity` ranks."""
