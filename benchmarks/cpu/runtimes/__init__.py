"""One network on a CPU by everything that can run it: speed, memory, and whether the same is found."""
