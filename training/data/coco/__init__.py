"""Annotation files in COCO's format, and the images they belong to."""
