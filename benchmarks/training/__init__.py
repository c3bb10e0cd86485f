"""Speed and memory of training, and pictures drawn a second for it."""
