"""Many images on one machine or many: read from any file system, detected by workers on Ray, kept as Parquet."""
