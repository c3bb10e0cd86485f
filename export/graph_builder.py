"""A thin way to write ONNX graphs and model-local functions as expressions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike, DTypeLike
from onnx import helper, numpy_helper

from yolact.runtime.contract import PLUGIN_NAMESPACE


class GraphBuilder:
    """Collects nodes and constants. Any ONNX operator is a method: `b.Relu(x)`, `b.Split(x, sizes, outputs=2, axis=1)`.

    Tensors are names. An array passed where a tensor is expected becomes a constant. Every name starts with the
    current scope, so names tell where in the network a tensor is and never clash when functions are inlined.
    """

    def __init__(self, opset: int, scope: str = "") -> None:
        self.opset = opset
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}
        self._scope = scope
        self._taken: dict[str, int] = {}

    def __getattr__(self, operator: str) -> Callable[..., Any]:
        if not operator[0].isupper():
            raise AttributeError(operator)
        return lambda *inputs, **kwargs: self.node(operator, *inputs, **kwargs)

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Prefix the names made inside with `name/`."""
        outer, self._scope = self._scope, f"{self._scope}{name}/"
        try:
            yield
        finally:
            self._scope = outer

    def node(
        self,
        operator: str,
        *inputs: str | ArrayLike,
        outputs: int | Sequence[str] = 1,
        name: str | None = None,
        domain: str = "",
        **attributes: Any,
    ) -> Any:
        """Add a node; returns its output name, or a list of them where several were asked for.

        Args:
            operator: ONNX operator or model-local function.
            inputs: tensor names, or arrays that become constants.
            outputs: how many outputs, or their names.
            name: name of the node and of its single output; prefixed with the scope unless it has the prefix.
        """
        tensors = [x if isinstance(x, str) else self.constant(x) for x in inputs]
        unique = self._unique(name or operator)
        if isinstance(outputs, int):
            names = [unique] if outputs == 1 else [f"{unique}.{i}" for i in range(outputs)]
        else:
            names = list(outputs)
        self.nodes.append(helper.make_node(operator, tensors, names, unique, domain=domain, **attributes))
        return names[0] if len(names) == 1 else names

    def constant(self, value: ArrayLike, name: str | None = None) -> str:
        """Add a constant tensor, Python numbers as int64 or float32. Returns its name: the given one without a scope,
        or a generated one."""
        array = np.asarray(value)
        if array.dtype == np.float64:
            array = array.astype(np.float32)
        unique = name or self._unique("constant")
        self.constants[unique] = numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), unique)
        return unique

    def cast(self, x: str, dtype: DTypeLike, name: str | None = None) -> str:
        """Cast to a NumPy dtype."""
        return str(self.Cast(x, to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), name=name))

    def reduce(self, operator: str, x: str, axis: int, *, keepdims: bool = False) -> str:
        """ReduceMax and its like over one axis; the axis is an attribute before opset 18 and an input since."""
        if self.opset < 18:
            return str(self.node(operator, x, axes=[axis], keepdims=int(keepdims)))
        return str(self.node(operator, x, [axis], keepdims=int(keepdims)))

    def slice(self, x: str, start: int, stop: int, axis: int) -> str:
        """x[start:stop] along an axis."""
        return str(self.Slice(x, [start], [stop], [axis]))

    def function(
        self, name: str, inputs: Sequence[str], outputs: Mapping[str, str], attributes: Sequence[str]
    ) -> onnx.FunctionProto:
        """The built nodes as a model-local function; `outputs` maps output names to the tensors that become them."""
        constants = [
            helper.make_node("Constant", [], [constant], constant, value=tensor)
            for constant, tensor in self.constants.items()
        ]
        results = [helper.make_node("Identity", [tensor], [output]) for output, tensor in outputs.items()]
        return helper.make_function(
            PLUGIN_NAMESPACE,
            name,
            list(inputs),
            list(outputs),
            [*constants, *self.nodes, *results],
            [helper.make_opsetid("", self.opset)],
            list(attributes),
        )

    def _unique(self, name: str) -> str:
        full = name if name.startswith(self._scope) else f"{self._scope}{name}"
        count = self._taken.get(full, 0)
        self._taken[full] = count + 1
        return full if count == 0 else f"{full}_{count}"
