"""Synthetic pictures with exact masks: flat shapes, and machine parts in bins and on belts by MuJoCo."""
