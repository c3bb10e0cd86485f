"""Images to detections, whatever runs the network."""
