"""Speed on a CPU."""
