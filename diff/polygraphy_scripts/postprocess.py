"""For `polygraphy run --postprocess-func-script`: adds the detections that a raw graph's heads stand for.

Environment:
    YOLACT_DIFF_MODEL: the ONNX file, or the .json of a plan, whose metadata has the settings of post-processing.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from yolact.runtime.contract import HEADS
from yolact.runtime.engine_files import read_metadata
from yolact.runtime.postprocess.postprocess import ImageHeads, postprocess


def postprocess_outputs(result: Any) -> Any:
    """Polygraphy's IterationResult with the outputs of a full graph, for the first image alone."""
    if not all(name in result for name in HEADS) or "num_detections" in result:
        return result
    metadata = read_metadata(Path(os.environ["YOLACT_DIFF_MODEL"]))
    heads = ImageHeads(*(np.asarray(result[name])[0].astype(np.float32) for name in HEADS))
    found = postprocess(heads, metadata.config, metadata.postprocess)
    result["num_detections"] = np.array([[len(found.scores)]], np.int32)
    for name, array in (
        ("boxes", found.boxes),
        ("scores", found.scores),
        ("classes", found.class_ids),
        ("masks", found.masks),
    ):
        result[name] = array[None]
    return result
