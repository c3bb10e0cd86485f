"""Images to detections, whatever runs the network."""

from yolact.runtime.installation import check_installation

check_installation()
