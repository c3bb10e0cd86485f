"""Puts the top-level folders into the package `yolact` and builds the CUDA library where that is possible.

Everything else is in pyproject.toml.
"""

import importlib
import os
import re
import shutil
import sys
import sysconfig
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py
from setuptools.command.editable_wheel import editable_wheel

ROOMS = ["batch", "calib", "cli", "diff", "engines", "export", "hub", "plugins", "runtime", "serving", "training"]
PACKAGES = {
    f"yolact.{name}" for room in ROOMS for name in (room, *(f"{room}.{inner}" for inner in find_packages(room)))
}
PLUGIN_SOURCES = ["CMakeLists.txt", "cmake/*.cmake", "**/*.cpp", "**/*.cu", "**/*.cuh", "**/*.h", "**/*.map"]

LINKS = Path("build/editable")
"""Folder that an editable installation puts on the path."""

ARCHS = "YOLACT_PLUGIN_ARCHS"
"""Environment variable: all, or a list such as sm_86,sm_89, for which the library must be built; none leaves it out."""


def import_builder():
    """`yolact.plugins.build` of this folder, which is no installed package yet."""
    sys.path.insert(0, str(Path(__file__).parent))
    return importlib.import_module("yolact.plugins.build")


class BuildWithPlugins(build_py):
    """Copies the packages, and builds `plugins/lib` into the copy. An editable installation has `make plugins`."""

    def run(self):
        shutil.rmtree(Path(self.build_lib, "yolact"), ignore_errors=True)  # modules that there are no more, for one
        super().run()
        if self.editable_mode:
            print("yolact: an editable installation has its CUDA library from `make plugins` or yolact-build-plugins")
            return
        output = Path(self.build_lib, "yolact/plugins/lib")
        shutil.rmtree(output, ignore_errors=True)  # of this clone's own `make plugins`
        if os.environ.get(ARCHS) == "none":
            print(f"yolact: the CUDA library was left out, as {ARCHS} says none")
            return
        builder = import_builder()
        try:
            files = builder.build(os.environ.get(ARCHS) or "all", output, builder.find_tools())
        except (builder.BuildFailed, OSError) as error:
            if os.environ.get(ARCHS):
                log = getattr(error, "log", "")
                raise SystemExit(f"{log}\nyolact: the CUDA library for {ARCHS} was not built ({error})") from error
            print(f"yolact: the CUDA library was not built ({error}); once that is mended, run yolact-build-plugins")
            return
        print("yolact: built", ", ".join(file.name for file in files))


class EditableLinks(editable_wheel):
    """Installs links to the folders, laid out as the installed package is, in a folder that a .pth file names.

    setuptools alone would install an import hook. Python asks it last, so any folder called `yolact` in the working
    directory would hide the package, and type checkers do not ask it at all.
    """

    def finalize_options(self):
        package = LINKS / "yolact"
        shutil.rmtree(package, ignore_errors=True)
        try:
            package.mkdir(parents=True)
            for source in [*Path("yolact").glob("*.*"), *map(Path, ROOMS)]:  # no __pycache__
                (package / source.name).symlink_to(Path("../../..", source), target_is_directory=source.is_dir())
        except OSError as error:
            raise SystemExit(
                f"yolact: an editable installation is made of symbolic links in {LINKS}, which cannot be made here "
                f"({error}); install it by pip install . instead"
            ) from error
        self.distribution.package_dir = {"": str(LINKS)}
        super().finalize_options()


class PlatformWheel(bdist_wheel):
    """A wheel with a library in it is for one platform, though for every Python."""

    def get_tag(self):
        python, abi, platform = super().get_tag()
        if any(Path(self.bdist_dir).rglob("*.so")):
            platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        return python, abi, platform


def describe():
    """README, without its links to files of the clone, as an index of packages has none of them."""
    text = re.sub(r"!\[[^\]]*\]\((?!https://)[^)]*\)\n*", "", Path("README.md").read_text(encoding="utf-8"))
    return re.sub(r"\[([^\]]*)\]\((?!https://)[^)]*\)", r"\1", text)


setup(
    long_description=describe(),
    long_description_content_type="text/markdown",
    package_dir={"yolact": "yolact"} | {f"yolact.{room}": room for room in ROOMS},
    packages=["yolact", *PACKAGES],
    package_data={"yolact": ["py.typed"]}
    | {"yolact.diff": ["polygraphy_scripts/*.py"], "yolact.training.pages": ["page.html"]}
    | {"yolact.plugins": [*PLUGIN_SOURCES, "lib/*.so", "lib/*.json", "lib/rtx/*.so"]}
    | {"yolact.runtime.capi": ["*.c", "*.h"], "yolact.runtime.live": ["page.*"]},
    include_package_data=False,  # what is packaged is listed here
    cmdclass={"build_py": BuildWithPlugins, "bdist_wheel": PlatformWheel, "editable_wheel": EditableLinks},
)
