"""The cost of a batch job on Ray beside the engine."""
