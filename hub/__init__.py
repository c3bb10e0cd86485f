"""Weights by name: the known models, repositories on Hugging Face, and engine files that are made of them once."""
