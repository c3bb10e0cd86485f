"""The runtime for C: the library libyolact and the Python that it calls."""
