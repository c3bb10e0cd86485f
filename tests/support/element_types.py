"""NumPy's names of the kernels' element types."""

import numpy as np
import pytest
from ml_dtypes import bfloat16

from yolact.runtime.cuda.kernels import ElementType

ELEMENT_TYPES = {
    np.dtype(np.float32): ElementType.FLOAT32,
    np.dtype(np.float16): ElementType.FLOAT16,
    np.dtype(bfloat16): ElementType.BFLOAT16,
}
EACH_TYPE = pytest.mark.parametrize("dtype", ELEMENT_TYPES, ids=str)
