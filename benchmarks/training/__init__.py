"""Speed and memory of training, and curves of its runs."""
