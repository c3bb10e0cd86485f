"""What a batch job on Ray costs beside the engine."""
