"""Maps the flat top-level folders onto the `yolact.*` namespace; everything else is in pyproject.toml."""

from setuptools import setup

FOLDERS = ["engines", "export", "runtime", "training"]

setup(
    package_dir={"yolact": "."},
    packages=[f"yolact.{folder}" for folder in FOLDERS],
    package_data={f"yolact.{folder}": ["py.typed"] for folder in FOLDERS},
)
