"""Maps the flat top-level folders onto the `yolact.*` namespace and builds the CUDA library where that is possible.

Everything else is in pyproject.toml.
"""

import importlib
import os
import shutil
import sys
import sysconfig
from pathlib import Path
from types import ModuleType

from setuptools import find_packages, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

ROOMS = ["calib", "cli", "diff", "engines", "export", "plugins", "runtime", "training"]
PACKAGES = {
    f"yolact.{name}" for room in ROOMS for name in (room, *(f"{room}.{inner}" for inner in find_packages(room)))
}
PLUGIN_SOURCES = ["CMakeLists.txt", "cmake/*.cmake", "**/*.cpp", "**/*.cu", "**/*.cuh", "**/*.h", "**/*.map"]


ARCHS = "YOLACT_PLUGIN_ARCHS"
"""Environment variable: all, or a list such as sm_86,sm_89. Where it is set, the library is not optional."""


def import_builder():
    """`yolact.plugins.build` of this folder, which is no installed package yet."""
    package = ModuleType("yolact")
    package.__path__ = [str(Path(__file__).parent)]
    sys.modules["yolact"] = package
    return importlib.import_module("yolact.plugins.build")


class BuildWithPlugins(build_py):
    """Copies the packages, and builds `plugins/lib` into the copy. An editable installation has `make plugins`."""

    def run(self):
        super().run()
        if self.editable_mode:
            print("yolact: an editable installation has its CUDA library from `make plugins` or yolact-build-plugins")
            return
        output = Path(self.build_lib, "yolact/plugins/lib")
        shutil.rmtree(output, ignore_errors=True)  # of an earlier installation, or of this clone's own `make plugins`
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
        if output / builder.PLUGINS not in files:
            print("yolact: the plugins were not built, only the kernels.", builder.HOW_TO_GET_HEADERS)


class PlatformWheel(bdist_wheel):
    """A wheel with a library in it is for one platform, though for every Python."""

    def get_tag(self):
        python, abi, platform = super().get_tag()
        if any(Path(self.bdist_dir).rglob("*.so")):
            platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        return python, abi, platform


setup(
    package_dir={"yolact": "yolact"} | {f"yolact.{room}": room for room in ROOMS},
    packages=["yolact", *PACKAGES],
    package_data={"yolact": ["py.typed"]}
    | {"yolact.diff": ["report.html", "polygraphy_scripts/*.py"]}
    | {"yolact.plugins": [*PLUGIN_SOURCES, "lib/*.so", "lib/*.json", "lib/rtx/*.so"]}
    | {"yolact.runtime.capi": ["*.c", "*.h"]},
    include_package_data=False,  # what is packaged is listed here
    cmdclass={"build_py": BuildWithPlugins, "bdist_wheel": PlatformWheel},
)
