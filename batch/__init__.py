"""Detection in many images on one or more machines: images from any file system, workers on Ray, results in Parquet."""
