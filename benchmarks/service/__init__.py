"""The overhead of the C API, and the C service under load."""
