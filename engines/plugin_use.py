"""Plugins in a build: whether they take the place of the ONNX functions' bodies, and whether the plan carries them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from yolact.engines.build_options import PluginUse
from yolact.runtime.cuda.built_libraries import DESCRIPTION
from yolact.runtime.errors import UsageError, YolactError
from yolact.runtime.tensorrt.flavour import TENSORRT, TensorRt, Version, registered_plugins
from yolact.runtime.tensorrt.plugin_library import (
    HOW_TO_BUILD,
    PLUGINS,
    how_to_build_for,
    installed_code,
    installed_library,
    load_plugins,
)

if TYPE_CHECKING:
    import onnx


_PLUGINS_REPLACE_FUNCTIONS = Version(10, 7)
"""First TensorRT whose parser uses a registered plugin in place of a function's body. Earlier ones always inline the
body, so the body is removed where the plugin is registered."""


def prepare_plugins(proto: onnx.ModelProto, tensorrt: TensorRt, use: PluginUse) -> None:
    """Register the toolkit's plugins if they are to be used, and give the functions the form that this TensorRT needs.

    The model is changed in place. Raises EngineError where the library exists but does not load.
    """
    if use != "off":
        load_plugins(tensorrt)
        fit_functions(proto, tensorrt)
    elif registered_plugins(tensorrt, PLUGINS):  # by an earlier build in this process, and that cannot be undone
        from onnx.inliner import inline_local_functions

        proto.CopyFrom(inline_local_functions(proto))


def fit_functions(proto: onnx.ModelProto, tensorrt: TensorRt) -> None:
    """Drop the bodies of local functions, in place, where this TensorRT would inline them although it has plugins."""
    if tensorrt.flavour is TENSORRT and tensorrt.version < _PLUGINS_REPLACE_FUNCTIONS:
        plugins = registered_plugins(tensorrt, [function.name for function in proto.functions])
        kept = [function for function in proto.functions if function.name not in plugins]
        del proto.functions[:]
        proto.functions.extend(kept)


def library_to_embed(names: tuple[str, ...], archs: tuple[str, ...]) -> Path:
    """The library for a plan that is to contain it.

    Args:
        names: names of the plugins in the network.
        archs: architectures that the plan is for; empty for Ampere and everything later.

    Raises:
        YolactError: there is no library, or it has no code for all architectures, or its architectures are unknown.
        UsageError: the network needs no plugin.
    """
    library = installed_library()
    if library is None:
        raise YolactError(f"--plugins embed: there is no library to put into the plan; {HOW_TO_BUILD}")
    if not names:
        raise UsageError(
            "--plugins embed: no plugin computes a part of the ONNX file; leave the option out, or export with --graph "
            "full and --functions keep"
        )
    code = installed_code()
    if code is None:
        raise YolactError(
            f"--plugins embed: it is unknown which GPUs {library} has code for, as {DESCRIPTION} beside it is missing "
            "or damaged; build it again with: yolact-build-plugins"
        )
    lacking = code.lacking(archs)
    if lacking:
        raise YolactError(
            f"--plugins embed: the plan is for {', '.join(archs) or 'Ampere and later'}, and {library} has code for "
            f"{code}, but not for {', '.join(lacking)}; {how_to_build_for(*archs or ('all',))}"
        )
    return library


def check_embedded(plan: bytes, library: Path, tensorrt: TensorRt) -> None:
    """Raise YolactError where a plan does not contain the library, although TensorRT was told to put it in."""
    if library.read_bytes() not in plan:
        raise YolactError(f"{tensorrt} did not put {library} into the plan; build without --plugins embed")
