"""Image files and arrays: reading, resizing, drawing, encoding masks."""
