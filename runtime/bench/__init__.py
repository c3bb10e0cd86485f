"""How long each stage from an image file to masks takes: what `yolact-bench` measures."""
