"""The tables of the documents, made of the results of benchmarks."""
