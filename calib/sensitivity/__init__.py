"""What INT8 costs in each part of a network, ranked: `yolact-sensitivity`."""
