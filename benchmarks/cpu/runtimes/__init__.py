"""One network on a CPU in every runtime that can run it: speed, memory, and agreement of the detections."""
