"""Bins of machine parts: meshes made by code, dropped by MuJoCo's rigid-body physics and drawn by its renderer."""
