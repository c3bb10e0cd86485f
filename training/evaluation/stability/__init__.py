"""Measures how calm masks, boxes and scores are where nothing but a known motion happens."""
