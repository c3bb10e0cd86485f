"""The tables of the documents, made from the results of benchmarks."""
