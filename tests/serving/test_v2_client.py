"""A model on NVIDIA's server is to KServe's V2 clients what it is on the C service: the same test, by HTTP."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scripted_engine import write_engine
from triton_models import Server, need_server
from v2_client import MODEL, check_server

from yolact.runtime.detections import Detections
from yolact.runtime.detector import Detector
from yolact.runtime.images.check_image import make_check_image


def test_tritons_answers_are_those_of_the_c_service(tmp_path: Path) -> None:
    """With the thresholds that both have by themselves."""
    need_server()
    engine = write_engine(tmp_path / "rescored.onnx", mask_scores=[0.3, 0.6, 0.5, 0.05])
    images = [np.full((37, 61, 3), 255, np.uint8), make_check_image(100, 150, 1), np.zeros((5, 9, 3), np.uint8)]
    (tmp_path / "repository").mkdir()
    with Server(tmp_path / "repository") as server, Detector.open(engine) as detector:

        def detect(image: np.ndarray) -> Detections:
            return detector(image, score_threshold=0.15, top_k=15)

        server.serve(engine, MODEL, max_batch=4)
        check_server(f"127.0.0.1:{server.http}", detect, images)
