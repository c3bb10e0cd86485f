"""What the C API costs, and the C service under load."""
