"""YOLACT behind NVIDIA Triton: model repositories, and what Triton runs out of them."""
