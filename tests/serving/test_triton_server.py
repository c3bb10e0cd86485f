"""Models on NVIDIA's own server: what clients get, whatever happens to them meanwhile."""

from __future__ import annotations

import json
import os
import signal
import time
import urllib.error
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import cv2
import numpy as np
import pytest
import triton_models
from click.testing import CliRunner, Result
from scripted_engine import write_engine
from triton_models import Server, assert_all_same, need_server
from waiting import wait_until

from yolact.cli.infer import main
from yolact.runtime.detector import Detector
from yolact.runtime.errors import EngineError, ImageError, UsageError, YolactError
from yolact.runtime.images.check_image import make_check_image
from yolact.runtime.images.image_files import read_image, write_image
from yolact.runtime.triton.detector import TritonDetector
from yolact.serving.model_config import parse_text, to_text

SIZES = [(120, 160), (90, 200), (200, 90), (64, 64), (150, 100), (45, 61), (100, 151), (240, 320)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    need_server()
    repository = tmp_path_factory.mktemp("repository")
    with Server(repository) as server:
        yield server
        assert server.process.poll() is None, server.log[-3000:]


@pytest.fixture(scope="module")
def tiny(server: Server, tiny_engine: Path) -> Iterator[TritonDetector]:
    """A model that finds different things in different images."""
    with TritonDetector(server.serve(tiny_engine, "tiny", max_batch=4)) as detector:
        yield detector


@pytest.fixture(scope="module")
def photos_of_all_sizes(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("photos")
    files = [folder / f"{number}.{'png' if number % 2 else 'jpg'}" for number in range(len(SIZES))]
    for number, (file, size) in enumerate(zip(files, SIZES, strict=True)):
        write_image(file, make_check_image(*size, seed=number))
    return files


def infer(*arguments: str | Path) -> Result:
    result = CliRunner().invoke(main, [str(one) for one in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def send(server: Server, model: str, *inputs: tuple[str, Any, str], **parameters: Any) -> Any:
    """A request as any client of Triton's sends it: name, array and type of each input."""
    from tritonclient.grpc import InferenceServerClient, InferInput

    tensors = []
    for name, array, kind in inputs:
        tensor = InferInput(name, list(np.shape(array)), kind)
        tensors.append(tensor.set_data_from_numpy(np.asarray(array)))
    with InferenceServerClient(f"127.0.0.1:{server.grpc}") as client:
        return client.infer(model, tensors, parameters=parameters)


def send_raw(server: Server, data: bytes) -> Any:
    """A request whose input is these bytes, be they elements of BYTES or not."""
    from tritonclient.grpc import InferenceServerClient, InferInput

    tensor = InferInput("image", [1, 1], "BYTES")
    tensor._raw_content = data
    with InferenceServerClient(f"127.0.0.1:{server.grpc}") as client:
        return client.infer("tiny", [tensor])


def encoded(*images: bytes) -> tuple[str, Any, str]:
    array = np.empty((len(images), 1), np.object_)
    array[:, 0] = images
    return "image", array, "BYTES"


def test_eight_clients_get_what_one_gets(
    server: Server, tiny: TritonDetector, tiny_engine: Path, photos_of_all_sizes: list[Path]
) -> None:
    """Files and pixels of different sizes, in batches across clients."""
    one_by_one = [tiny(file) for file in photos_of_all_sizes]
    with Detector.open(tiny_engine) as local:
        assert_all_same(one_by_one, [local(file) for file in photos_of_all_sizes])
    assert all(len(one) for one in one_by_one)

    def client(number: int) -> list[Any]:
        file = photos_of_all_sizes[number]
        with TritonDetector(server.address("tiny")) as detector:
            return [detector(file if turn % 2 else read_image(file)) for turn in range(6)]

    with ThreadPoolExecutor(8) as pool:
        for found, expected in zip(pool.map(client, range(8)), one_by_one, strict=True):
            assert_all_same(found, [expected] * 6)
    assert max(server.batch_sizes("tiny")) > 1
    samples = dict(line.rsplit(" ", 1) for line in _metrics(server) if 'model="tiny"' in line)
    assert float(samples['yolact_images_total{model="tiny",version="1"}']) >= 56
    assert float(samples['yolact_batches_total{model="tiny",version="1"}']) < 56


def _metrics(server: Server) -> list[str]:
    import urllib.request

    with urllib.request.urlopen(f"http://127.0.0.1:{server.metrics}/metrics", timeout=60) as answer:
        return [line for line in answer.read().decode().splitlines() if line.startswith("yolact_")]


def test_a_list_a_stream_and_a_selection(tiny: TritonDetector, photos_of_all_sizes: list[Path]) -> None:
    images = [*map(read_image, photos_of_all_sizes[:3]), *photos_of_all_sizes[3:]]
    expected = tiny(images)
    assert_all_same(expected, [tiny(file) for file in photos_of_all_sizes])
    with tiny.stream([*photos_of_all_sizes, lambda: read_image(photos_of_all_sizes[0])], 4, batch_size=3) as stream:
        assert_all_same(stream, [*expected, expected[0]])
    few = tiny(images, score_threshold=0.2, top_k=3, class_ids=[0, 2])
    assert_all_same(few, [one.select(0.2, 3, [0, 2]) for one in expected])


def test_the_command_does_what_it_does_here(tiny: TritonDetector, tiny_engine: Path, here: Path) -> None:
    for name, image in (("a.png", make_check_image(60, 80)), ("b.png", np.zeros((20, 30, 3), np.uint8))):
        write_image(here / name, image)
    (here / "c.jpg").write_bytes(b"\xff\xd8 no image")
    address = str(tiny.engine.device)
    for masks in ("rle", "polygon"):
        outcomes = []
        for model in (["--engine", tiny_engine], ["--triton", address]):
            result = infer(*model, ".", "missing.png", "--json", "found.json", "--masks", masks, "--output", "drawn")
            assert result.exit_code == 1
            lines = [line.rsplit(", ", 1)[0] for line in result.output.splitlines()]
            pictures = {file.name: file.read_bytes() for file in (here / "drawn").iterdir()}
            outcomes.append((lines, pictures, (here / "found.json").read_bytes()))
        assert outcomes[0] == outcomes[1] and outcomes[0][1].keys() == {"a.png", "b.png"}


@pytest.mark.parametrize(
    "options, says",
    [
        ([], "got neither"),
        (["--engine", "a.onnx", "--triton", "grpc://h/m"], "got both"),
        (["--triton", "http://h/m"], "address of a model"),
        (["--triton", "grpc://h/m", "--device", "cpu"], "--device is for an engine file"),
    ],
)
def test_options_that_do_not_go_together(options: list[str], says: str, here: Path) -> None:
    Path("a.onnx").write_text("")
    result = infer(*options, "a.png")
    assert result.exit_code == 2 and says in result.output


def test_bad_requests_among_good_ones(server: Server, tiny: TritonDetector) -> None:
    from tritonclient.utils import InferenceServerException

    photo = cv2.imencode(".jpg", make_check_image(90, 120))[1].tobytes()
    pixels = make_check_image(40, 50)[None]
    bad: list[tuple[Callable[[], Any], str]] = [
        (lambda: send(server, "tiny", encoded(photo[:-99])), "truncated"),
        (lambda: send(server, "tiny", encoded(b"")), "empty file"),
        (lambda: send(server, "tiny", encoded(photo, b"?")), "image 2 of 2"),
        (lambda: send(server, "tiny", encoded(photo), ("pixels", pixels, "UINT8")), "got both"),
        (lambda: send(server, "tiny", encoded(photo), score_threshold="high"), "must be a number"),
        (lambda: send(server, "tiny", encoded(photo), treshold="0.5"), "'treshold'"),
        (lambda: send(server, "tiny", ("pixels", pixels.astype(np.float32), "FP32")), "data-type"),
        (lambda: send(server, "tiny", ("pixels", pixels[..., :1], "UINT8")), "shape"),
        (lambda: send(server, "tiny", ("pixels", pixels[0], "UINT8")), "batch-size"),
        (lambda: send(server, "tiny", encoded(*[photo] * 5)), "batch-size"),
        (lambda: send(server, "tiny", ("other", pixels, "UINT8")), "other"),
        (lambda: send(server, "tiny", ("pixels", np.zeros((1, 0, 4, 3), np.uint8), "UINT8")), "no pixels"),
    ]

    def run(number: int) -> str:
        if number % 2:
            counts = send(server, "tiny", encoded(photo)).as_numpy("num_detections")
            return f"{counts.tolist()}"
        try:
            return str(bad[number // 2][0]())
        except InferenceServerException as error:
            return str(error)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(run, range(2 * len(bad))))
    assert len(set(answers[1::2])) == 1 and answers[1] > "[[0]]"
    for answer, (_, expected) in zip(answers[::2], bad, strict=True):
        assert expected in answer and "\n" not in answer and "Traceback" not in answer, answer


@pytest.mark.parametrize("data", [b"", b"\1", b"\xff\xff\xff\xff?", b"\1\0\0\0??"])
def test_bytes_that_are_no_elements_harm_nobody_later(data: bytes, server: Server, tiny: TritonDetector) -> None:
    from tritonclient.utils import InferenceServerException

    with pytest.raises(InferenceServerException, match="string"):
        send_raw(server, data)
    assert len(tiny(make_check_image(60, 80)))


def test_json_by_http(server: Server, tiny: TritonDetector) -> None:
    """What a client sends that has no library for it."""
    image = make_check_image(40, 50)
    given = {"name": "pixels", "shape": [1, *image.shape], "datatype": "UINT8", "data": image.ravel().tolist()}
    request = {"inputs": [given], "parameters": {"score_threshold": 0.2, "top_k": 4}}
    answer = json.loads(server.ask("v2/models/tiny/infer", json.dumps(request).encode()))
    outputs = {one["name"]: one["data"] for one in answer["outputs"]}
    expected = tiny(image, score_threshold=0.2, top_k=4)
    assert outputs["num_detections"] == [len(expected)] and outputs["image_sizes"] == [40, 50]
    assert outputs["masks"] == [one["counts"] for one in expected.rle()]


def write_twenty(path: Path) -> Path:
    """An engine that finds twenty discs."""
    rows, columns = np.mgrid[:16, :16]
    discs = [((rows - 4 - n % 8) ** 2 + (columns - 4 - n % 7) ** 2 < 4 + n).astype(np.float32) for n in range(20)]
    return write_engine(
        path,
        boxes=np.tile(np.array([0, 0, 1, 1], np.float32), (20, 1)),
        scores=np.linspace(0.9, 0.5, 20, dtype=np.float32),
        classes=np.zeros(20, np.int32),
        masks=np.stack(discs),
    )


def test_a_new_engine_under_load_and_a_killed_process(server: Server, engine: Path, here: Path) -> None:
    """Nobody loses a request to the new engine, and answers are small. Triton 2.51 starts no killed process again."""
    image = make_check_image(480, 640)
    before = set(server.model_processes())
    with TritonDetector(server.serve(engine, "changing", top_k=20)) as detector:
        done = Event()

        def client(_: int) -> list[int]:
            counts = []
            while not done.is_set():
                counts.append(len(detector(image)))
            return counts

        with ThreadPoolExecutor(4) as pool:
            counts = [pool.submit(client, number) for number in range(4)]
            server.serve(write_twenty(here / "twenty.onnx"), "changing", top_k=20)
            time.sleep(0.2)
            done.set()
            seen = [one.result() for one in counts]
        assert {count for some in seen for count in some} == {4, 20} and all(some == sorted(some) for some in seen)

        answer = send(server, "changing", encoded(cv2.imencode(".jpg", image)[1].tobytes()))
        assert answer.as_numpy("num_detections").tolist() == [[20]]
        assert 2000 < answer.get_response().ByteSize() < 20_000

        expected = detector(image)
        wait_until(lambda: len(set(server.model_processes()) - before) == 1)  # that of the old engine ends by and by
        (stub,) = set(server.model_processes()) - before
        os.kill(stub, signal.SIGKILL)
        with pytest.raises(YolactError, match=r"the process behind .* has ended.*load the model"):
            detector(image)
        server.unload("changing")
        with pytest.raises(YolactError, match="has no model changing that is ready"):
            detector(image)
        server.load("changing")
        assert_all_same(detector([image] * 3), [expected] * 3)


def test_the_network_in_another_model(server: Server, tiny_engine: Path, photos_of_all_sizes: list[Path]) -> None:
    """ONNX Runtime in the python backend stands in for Triton's own backends, which are not in the wheel."""
    server.write(tiny_engine, "split", backend="onnxruntime", masks="bits", max_batch=4)
    folder = server.repository / "split_engine"
    config = parse_text((folder / "config.pbtxt").read_bytes())
    config.backend, config.default_model_filename = "python", "model.py"
    (folder / "config.pbtxt").write_bytes(to_text(config))
    (folder / "1" / "model.py").write_text(
        "from pathlib import Path\n"
        "import onnxruntime\n"
        "import triton_python_backend_utils as pb\n"
        "class TritonPythonModel:\n"
        "    def initialize(self, args):\n"
        "        self.session = onnxruntime.InferenceSession(str(Path(__file__).with_name('model.onnx')))\n"
        "    def execute(self, requests):\n"
        "        return [self.answer(request) for request in requests]\n"
        "    def answer(self, request):\n"
        "        images = pb.get_input_tensor_by_name(request, 'images').as_numpy()\n"
        "        names = [one.name for one in self.session.get_outputs()]\n"
        "        arrays = self.session.run(names, {'images': images})\n"
        "        return pb.InferenceResponse([pb.Tensor(*one) for one in zip(names, arrays)])\n"
    )
    server.load("split_engine")
    server.load("split")
    with TritonDetector(server.address("split")) as detector, Detector.open(tiny_engine) as local:
        assert_all_same(detector(photos_of_all_sizes), [local(file) for file in photos_of_all_sizes])
        server.unload("split_engine")
        with pytest.raises(YolactError, match="split_engine"):
            detector(photos_of_all_sizes[0])


def refused_load(server: Server, name: str) -> str:
    """Why the server does not load a model."""
    with pytest.raises(urllib.error.HTTPError) as failure:
        server.load(name)
    return failure.value.read().decode()


def test_what_the_server_does_not_load(server: Server, engine: Path) -> None:
    server.write(engine, "wrong")
    (server.repository / "wrong/1/model.onnx").write_bytes(b"another file")
    reason = "is not the engine that config.pbtxt was written for; run yolact-triton again"
    assert reason in refused_load(server, "wrong")
    with pytest.raises(YolactError, match=rf"wrong that is ready.*{reason}"):
        TritonDetector(server.address("wrong"))


def test_models_that_a_detector_refuses(server: Server, engine: Path, here: Path) -> None:
    address = server.serve(engine, "outlines", masks="polygons")
    with pytest.raises(EngineError, match="--masks rle"):
        TritonDetector(address)
    write_image(here / "a.png", make_check_image(60, 80))
    assert infer("--triton", address, "a.png").exit_code == 4
    with pytest.raises(YolactError, match=r"has no model nobody that is ready; it has .*outlines"):
        TritonDetector(server.address("nobody"))
    with pytest.raises(YolactError, match=r"no Triton server answers at 127\.0\.0\.1:9 "):
        TritonDetector("grpc://127.0.0.1:9/yolact")
    with pytest.raises(UsageError, match="device"):
        TritonDetector.open(address, device="cpu")


def test_a_picture_that_is_none(tiny: TritonDetector, here: Path) -> None:
    Path("text.jpg").write_text("no picture")
    for source, says in (("text.jpg", "^text.jpg: this is no image"), ("none.jpg", "^none.jpg: there is no such file")):
        with pytest.raises(ImageError, match=says):
            tiny(source)
    with pytest.raises(ImageError, match=r"got \(5, 5\)"):
        tiny(np.zeros((5, 5), np.uint8))


def test_a_port_that_is_taken(server: Server, tmp_path: Path) -> None:
    with pytest.raises(YolactError, match=r"did not start: .*already in use"):
        triton_models.LocalServer(triton_models.ENVIRONMENT, tmp_path, f"--grpc-port={server.grpc}")


def test_a_server_that_cannot_take_the_arrays_of_numpy_2(engine: Path, tmp_path: Path) -> None:
    """It says so when the model is loaded, and does not die of the first picture."""
    need_server()
    if np.lib.NumpyVersion(np.__version__) < "2.0.0":
        pytest.skip("NumPy 1 is installed -- run the tests with NumPy 2")
    import venv
    from sysconfig import get_path

    venv.create(tmp_path / "environment", symlinks=True)
    (packages,) = (tmp_path / "environment").glob("lib/python3.*/site-packages")
    (wheel,) = triton_models.ENVIRONMENT.glob("lib/python3.*/site-packages")
    for name in ("pytriton", "nvidia_pytriton.libs"):
        (packages / name).symlink_to(wheel / name)
    (packages / "borrowed.pth").write_text(f"import site; site.addsitedir({get_path('purelib')!r})\n")
    repository = tmp_path / "repository"
    repository.mkdir()
    with Server(repository, tmp_path / "environment") as server:
        server.write(engine, "yolact")
        assert "install 'numpy<2'" in refused_load(server, "yolact")
