"""Maps the flat top-level folders onto the `yolact.*` namespace and builds the CUDA library where that is possible.

Everything else is in pyproject.toml.
"""

import os
import runpy
import sysconfig
from pathlib import Path

from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

FOLDERS = ["engines", "export", "plugins", "runtime", "training"]
PLUGIN_SOURCES = ["CMakeLists.txt", "cmake/*.cmake", "**/*.cpp", "**/*.cu", "**/*.cuh", "**/*.h", "**/*.map"]


class BuildWithPlugins(build_py):
    """Copies the packages, and builds `plugins/lib` into the copy. An editable installation has `make plugins`."""

    def run(self):
        super().run()
        if self.editable_mode:
            print("yolact: an editable installation has its CUDA library from `make plugins` or yolact-build-plugins")
            return
        plugins = runpy.run_path(str(Path(__file__).with_name("plugins") / "build.py"))
        try:
            archs, output = os.environ.get("YOLACT_PLUGIN_ARCHS", "all"), Path(self.build_lib, "yolact/plugins/lib")
            files = plugins["build"](archs, output, plugins["find_tools"]())
            print("yolact: built", ", ".join(file.name for file in files))
            if output / plugins["PLUGINS"] not in files:
                print("yolact: the plugins were not built, only the kernels.", plugins["HOW_TO_GET_HEADERS"])
        except (plugins["BuildFailed"], OSError) as error:
            print(f"yolact: the CUDA library was not built ({error}); once that is mended, run yolact-build-plugins")


class PlatformWheel(bdist_wheel):
    """A wheel with a library in it is for one platform, though for every Python."""

    def get_tag(self):
        python, abi, platform = super().get_tag()
        if any(Path(self.bdist_dir).rglob("*.so")):
            platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        return python, abi, platform


setup(
    package_dir={"yolact": "."},
    packages=[f"yolact.{folder}" for folder in FOLDERS],
    package_data={f"yolact.{folder}": ["py.typed"] for folder in FOLDERS}
    | {"yolact.plugins": ["py.typed", *PLUGIN_SOURCES, "lib/*.so", "lib/rtx/*.so"]},
    include_package_data=False,  # what is packaged is listed here
    cmdclass={"build_py": BuildWithPlugins, "bdist_wheel": PlatformWheel},
)
