"""Model repositories as they are written: whole, the same twice, and never over something else."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from plan_files import IDENTITY, METADATA, plan_bytes
from scripted_engine import write_engine

from yolact.cli.triton import main
from yolact.runtime.file_lock import FileLock
from yolact.runtime.tensorrt.plan_file import sidecar_of
from yolact.serving import repository as writer
from yolact.serving.model_config import parse_text
from yolact.serving.repository import versions

pytest.importorskip("tritonclient.grpc", reason="Triton's client is not installed -- pip install '.[triton]'")


def run(*arguments: str | Path) -> Result:
    result = CliRunner().invoke(main, [str(one) for one in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 0 or result.output.startswith("error: "), result.output
    return result


def write(engine: Path, folder: Path, *options: str) -> Result:
    return run("--engine", engine, "--repository", folder, *options)


def config_of(model: Path) -> Any:
    return parse_text((model / "config.pbtxt").read_bytes())


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def plan(folder: Path, **changes: Any) -> Path:
    path = folder / "yolact.plan"
    path.write_bytes(plan_bytes(b"ftrt", (10, 3, 0, 26)))
    identity = IDENTITY.__class__(
        **vars(IDENTITY) | {"plan_sha256": hashlib.sha256(path.read_bytes()).hexdigest()} | changes
    )
    sidecar_of(path).write_text(identity.to_sidecar(METADATA))
    return path


def test_what_is_in_it(engine: Path, here: Path) -> None:
    assert "repo/yolact" in write(engine, Path("repo"), "--max-batch", "6", "--instances", "2").output
    model = here / "repo" / "yolact"
    assert contents(model).keys() == {"config.pbtxt", "labels.txt", "README.md", "1/model.py", "1/model.onnx"}
    assert (model / "1/model.onnx").read_bytes() == engine.read_bytes()
    assert (model / "labels.txt").read_text() == "person\ndog\ntraffic light\nBus\n"
    config = config_of(model)
    assert (config.name, config.backend, config.max_batch_size) == ("yolact", "python", 6)
    assert [(one.name, list(one.dims), one.optional) for one in config.input] == [
        ("image", [1], True),
        ("pixels", [-1, -1, 3], True),
    ]
    assert list(config.dynamic_batching.preferred_batch_size) == [2, 4, 6]
    assert config.dynamic_batching.default_queue_policy.max_queue_size == 256
    assert [(one.count, one.kind) for one in config.instance_group] == [(2, 2)]  # KIND_CPU
    digest = config.parameters["serving.engine_sha256"].string_value
    assert digest == hashlib.sha256(engine.read_bytes()).hexdigest()


def test_again_is_nothing_and_another_engine_is_the_next_version(engine: Path, here: Path) -> None:
    repository, model = Path("repo"), Path("repo/yolact")
    write(engine, repository)
    before = contents(repository)
    times = {path: path.stat().st_mtime_ns for path in repository.rglob("*")}
    assert "nothing was written" in write(engine, repository).output
    assert contents(repository) == before and {path: path.stat().st_mtime_ns for path in times} == times
    write(engine, repository, "--masks", "bits")
    assert [one.name for one in versions(model)] == ["1"]  # the configuration alone is another
    other = write_engine(Path("other.onnx"), [0.9, 0.8, 0.7, 0.6])
    write(other, repository)
    assert [one.name for one in versions(model)] == ["1", "2"]
    assert (model / "2/model.onnx").read_bytes() == other.read_bytes()
    assert {one.name for one in config_of(model).output} >= {"mask_scores"}
    write(engine, repository)
    assert [one.name for one in versions(model)] == ["2", "3"]
    (model / "3").rename(model / "9")
    shutil.rmtree(model / "2")
    write(other, repository)
    write(engine, repository)
    assert [one.name for one in versions(model)] == ["10", "11"]  # by number, not as text
    write(engine, repository, "--name", "second")
    assert {path.name for path in repository.iterdir()} == {"yolact", "second"}


def test_a_damaged_copy_of_the_engine_is_replaced(engine: Path, here: Path) -> None:
    write(engine, Path("repo"))
    copy = Path("repo/yolact/1/model.onnx")
    damaged = bytearray(copy.read_bytes())
    damaged[-1] ^= 1  # so that its size stays
    copy.write_bytes(damaged)
    write(engine, Path("repo"))
    assert Path("repo/yolact/2/model.onnx").read_bytes() == engine.read_bytes()


@pytest.mark.parametrize("stage", ["config", "copy", "rename"])
def test_a_run_that_is_cut_off_is_made_good(
    stage: str, engine: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends as a killed process does, without a handler that tidies up."""

    class Killed(BaseException):
        pass

    def kill(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", lambda *_, **__: None)
        if stage == "config":
            patched.setattr(writer, "write_output", kill)
        elif stage == "copy":
            patched.setattr(shutil, "copyfile", kill)
        else:
            patched.setattr(Path, "rename", kill)
        with pytest.raises(Killed):
            main.main(["--engine", str(engine), "--repository", "repo"], standalone_mode=False)
    assert versions(Path("repo/yolact")) == []
    write(engine, Path("repo"))
    assert contents(Path("repo/yolact")).keys() == {
        "config.pbtxt",
        "labels.txt",
        "README.md",
        "1/model.py",
        "1/model.onnx",
    }


def test_check_finds_what_was_changed(engine: Path, here: Path) -> None:
    repository, model = Path("repo"), Path("repo/yolact")
    check = ("--repository", repository, "--check")
    assert run("--engine", engine, *check).exit_code == 1
    write(engine, repository, "--masks", "polygons", "--instances", "3", "--top-k", "9")
    before = contents(repository)
    assert run("--engine", engine, *check).exit_code == 0
    other = write_engine(Path("other.onnx"), [0.9, 0.8, 0.7, 0.6])
    refused = run("--engine", other, *check)
    assert refused.exit_code == 1 and "parameters" in refused.output and "1/model.onnx" in refused.output
    config = (model / "config.pbtxt").read_text()
    edits = {
        "config.pbtxt": [
            (config.replace("count: 3", "count: 1"), ""),  # theirs to tune
            (config.replace("TYPE_UINT8", "TYPE_FP32"), "input"),
            (config.replace("max_batch_size: 8", "max_batch_size: -1"), "config.pbtxt cannot be used"),
            (config + "no_such_field: 1\n", "no_such_field"),
            ("", "no model that yolact-triton wrote"),
            (config.replace("serving.wire", "serving.wired"), "no model that yolact-triton wrote"),
        ],
        "labels.txt": [("person\n", "labels.txt"), (None, "labels.txt is missing")],
        "1/model.py": [("import os\n", "1/model.py"), (None, "1/model.py")],
        "1/model.onnx": [("x", "1/model.onnx"), (None, "1/model.onnx")],
    }
    for name, variants in edits.items():
        for text, expected in variants:
            (model / name).unlink() if text is None else (model / name).write_text(text)
            result = run("--engine", engine, *check)
            assert (result.exit_code, expected in result.output) == (1 if expected else 0, True), (name, result.output)
            (model / name).write_bytes(before[f"yolact/{name}"])
    shutil.rmtree(model / "1")
    assert "has no version" in run("--engine", engine, *check).output


@pytest.mark.parametrize(
    "options, code, says",
    [
        (["--name", "a/b"], 2, "--name"),
        (["--name", ".."], 2, "--name"),
        (["--name", ""], 2, "--name"),
        (["--max-batch", "0"], 2, "--max-batch"),
        (["--max-batch", "9999"], 2, "--max-batch"),
        (["--instances", "0"], 2, "--instances"),
        (["--instances", "1000"], 2, "--instances"),
        (["--gpus", "a"], 2, "--gpus"),
        (["--gpus", "0,,1"], 2, "--gpus"),
        (["--gpus", "99"], 2, "--gpus"),
        (["--queue", "0"], 2, "--queue"),
        (["--masks", "png"], 2, "--masks"),
        (["--backend", "tensorrt"], 2, "ONNX file"),
        (["--score-threshold", "2"], 2, "--score-threshold"),
        (["--engine", "none.onnx"], 2, "none.onnx"),
        (["--engine", "text.onnx"], 4, "text.onnx"),
        (["--repository", "text.onnx"], 2, "text.onnx"),
        (["--repository", "photos"], 2, "photos/holiday"),
        (["--repository", "models"], 2, "models/yolact"),
    ],
)
def test_refused(options: Sequence[str], code: int, says: str, engine: Path, here: Path) -> None:
    Path("text.onnx").write_text("no engine")
    for folder, file in (("photos/holiday", "a.jpg"), ("models/yolact", "config.pbtxt")):
        Path(folder).mkdir(parents=True)
        Path(folder, file).write_text('name: "yolact"')
    before = contents(here)
    result = run("--engine", engine, "--repository", "repo", *options)
    assert (result.exit_code, says in result.output) == (code, True), result.output
    assert contents(here) == before and not Path("repo").exists()


def test_a_folder_that_another_process_writes(engine: Path, here: Path) -> None:
    Path("repo/yolact").mkdir(parents=True)
    lock = FileLock(Path("repo/yolact/.lock"), os.O_CREAT)
    result = write(engine, Path("repo"))
    assert result.exit_code == 1 and "another process" in result.output
    lock.release()
    assert write(engine, Path("repo")).exit_code == 0


def test_an_engine_for_one_batch_alone(here: Path) -> None:
    fixed = write_engine(Path("fixed.onnx"), batch=3)
    write(fixed, Path("repo"))
    assert config_of(Path("repo/yolact")).max_batch_size == 3
    assert "takes at most 3 images" in write(fixed, Path("repo"), "--max-batch", "4").output
    write(fixed, Path("other"), "--backend", "onnxruntime")
    inner = config_of(Path("other/yolact_engine"))
    assert inner.max_batch_size == 0 and list(inner.input[0].dims) == [3, 64, 64, 3]
    assert config_of(Path("other/yolact")).parameters["serving.min_batch"].string_value == "3"


def test_tritons_own_backends(engine: Path, here: Path) -> None:
    write(engine, Path("repo"), "--backend", "onnxruntime", "--max-batch", "4")
    inner, front = (config_of(Path("repo", name)) for name in ("yolact_engine", "yolact"))
    assert (inner.backend, inner.max_batch_size, front.backend) == ("onnxruntime", 4, "python")
    assert [(one.name, list(one.dims)) for one in inner.input] == [("images", [64, 64, 3])]
    assert [one.name for one in inner.output] == ["num_detections", "boxes", "scores", "classes", "masks"]
    assert front.parameters["serving.engine_model"].string_value == "yolact_engine"
    assert contents(Path("repo/yolact_engine")).keys() == {"config.pbtxt", "1/model.onnx"}
    assert "model.onnx" not in {path.name for path in Path("repo/yolact/1").iterdir()}
    assert run("--engine", engine, "--repository", "repo", "--check").exit_code == 0
    Path("repo/yolact_engine/1/model.onnx").write_bytes(b"x")
    assert "yolact_engine" in run("--engine", engine, "--repository", "repo", "--check").output


def test_a_plan_for_a_gpu_elsewhere(here: Path) -> None:
    path = plan(here)
    write(path, Path("repo"), "--gpus", "0,1")
    model = Path("repo/yolact")
    assert {one.name for one in (model / "1").iterdir()} == {"model.py", "model.plan", "model.plan.json"}
    (group,) = config_of(model).instance_group
    assert (group.kind, list(group.gpus), config_of(model).max_batch_size) == (1, [0, 1], 4)  # KIND_GPU
    assert "tensorrt" in (model / "README.md").read_text()
    write(path, Path("own"), "--backend", "tensorrt")
    readme = Path("own/yolact/README.md").read_text()
    assert "--backend-config=tensorrt,plugins=" in readme and "LD_PRELOAD" in readme and "YolactFastNms" in readme
    assert config_of(Path("own/yolact_engine")).backend == "tensorrt"
    assert run("--engine", path, "--repository", "own", "--check").exit_code == 0
    rtx = plan(here, flavour="tensorrt_rtx")
    assert "TensorRT for RTX" in write(rtx, Path("rtx"), "--backend", "tensorrt").output
    for needs_code in ("version_compatible", "plugins_embedded"):
        assert "no code from a plan" in write(plan(here, **{needs_code: True}), Path("code")).output
    sidecar_of(rtx).unlink()
    refused = write(rtx, Path("lost"))
    assert refused.exit_code == 4 and "yolact.plan.json" in refused.output


def test_labels_are_a_line_each(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import scripted_engine

    monkeypatch.setattr(scripted_engine, "CLASS_NAMES", ("a\nb", "漢字", "c\r", "d"))
    write(write_engine(Path("odd.onnx")), Path("repo"))
    assert Path("repo/yolact/labels.txt").read_text(encoding="utf-8") == "a b\n漢字\nc\nd\n"


def test_a_disk_that_is_full(engine: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", fail)
    result = write(engine, Path("repo"))
    assert result.exit_code == 1 and "No space left on device" in result.output
    assert versions(Path("repo/yolact")) == [] and not list(Path("repo").rglob(".partial*"))
