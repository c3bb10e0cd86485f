"""Where two engines differ: layers and heads through Polygraphy, detections as sets, and a report."""

import yolact.runtime  # noqa: F401  first of all, it checks the installation
