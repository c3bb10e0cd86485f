"""Names for the types of arrays that images, boxes, scores and masks come in."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
"""One image (H, W, 3), or a batch of them (N, S, S, 3) as the network takes it: bytes of blue, green and red."""

FloatArray = NDArray[np.float32]
BoolArray = NDArray[np.bool_]
