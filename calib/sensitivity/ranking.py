"""The cost of quantising each part of a network, and the parts to leave out of INT8 because of it.

Costs are measured one part at a time, with the rest in float32. The cost with some parts excluded is measured again
with all other parts in INT8, since errors of layers do not add up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import onnx

from yolact.calib.qdq import Ranges, insert_qdq_pairs
from yolact.calib.quantization_points import MODULES, Platform, QuantizationPoints, find_quantization_points
from yolact.runtime.errors import UsageError
from yolact.runtime.progress_bar import ProgressBar

Granularity = Literal["modules", "layers"]

Measure = Callable[[QuantizationPoints], float]
"""The cost of quantising at these points, in any unit; infinite where the network breaks."""


class Part(NamedTuple):
    """A module or a layer.

    Attributes:
        name: key of `MODULES`, or name of a layer.
        exclude: values of --exclude that leave it out of INT8.
        points: the points that are rounded with it.
        chosen: whether the user wants it quantised; other modules are ranked all the same.
    """

    name: str
    exclude: tuple[str, ...]
    points: QuantizationPoints
    chosen: bool


class PartCost(NamedTuple):
    """The cost of quantising one part alone."""

    part: Part
    cost: float


@dataclass(frozen=True)
class Proposal:
    """The parts to leave out of INT8.

    Attributes:
        limit: the largest cost allowed.
        cost_of_all: cost with nothing left out.
        parts: to leave out, most costly first. Where the limit cannot be met, the list that leaves the least cost.
        cost: of quantising all other parts.
        total: number of parts.
    """

    limit: float
    cost_of_all: float
    parts: tuple[Part, ...]
    cost: float
    total: int

    @property
    def met(self) -> bool:
        """Whether the cost is within the limit."""
        return self.cost <= self.limit

    @property
    def exclude(self) -> tuple[str, ...]:
        """Values of --exclude."""
        return shortest(name for part in self.parts for name in part.exclude)


@dataclass(frozen=True)
class Int8Selection:
    """The parts to quantise; see `quantization_points.find_quantization_points`."""

    proto: onnx.ModelProto
    modules: tuple[str, ...]
    exclude: tuple[str, ...]
    platform: Platform

    def points(self, leave_out: Sequence[Part] = ()) -> QuantizationPoints | None:
        """All points of the selection except those of some parts; None where none are left."""
        exclude = (*self.exclude, *(name for part in leave_out for name in part.exclude))
        try:
            return find_quantization_points(self.proto, self.modules, exclude, self.platform)
        except UsageError:
            if not leave_out:
                raise
            return None


def find_parts(selection: Int8Selection, by: Granularity) -> list[Part]:
    """The parts to rank, in network order. Raises UsageError where there is nothing to quantise."""
    points = selection.points()
    assert points is not None  # as it is only where parts are left out
    return _layers(selection, points) if by == "layers" else list(_modules(selection))


def rank(parts: Sequence[Part], measure: Measure) -> list[PartCost]:
    """The parts with their costs, the most costly first; parts of equal cost stay in network order."""
    bar = ProgressBar(parts, desc="measuring", unit=" parts", leave=None)
    return sorted((PartCost(part, measure(part.points)) for part in bar), key=lambda one: -one.cost)


def propose(selection: Int8Selection, ranking: Sequence[PartCost], measure: Measure, limit: float) -> Proposal:
    """The shortest list of the most costly parts whose exclusion keeps the cost of all others within the limit."""
    points = selection.points()
    assert points is not None
    candidates = [one.part for one in ranking if one.part.chosen]
    cost_of_all = measure(points)
    tried, left_out = [Proposal(limit, cost_of_all, (), cost_of_all, len(candidates))], list[Part]()
    with ProgressBar(candidates, desc="excluding", unit=" parts", leave=None) as bar:
        for part in bar:
            if tried[-1].met:
                break
            if set(part.points.convolutions) <= {name for one in left_out for name in one.points.convolutions}:
                continue  # it is in a residual block that is left out
            left_out.append(part)
            rest = selection.points(left_out)
            if rest is None:
                break
            tried.append(Proposal(limit, cost_of_all, tuple(left_out), measure(rest), len(candidates)))
    return min(tried, key=lambda one: (not one.met, one.cost, len(one.parts)))


def quantised(
    proto: onnx.ModelProto, points: QuantizationPoints, ranges: Ranges, platform: Platform
) -> onnx.ModelProto:
    """A copy with these points in INT8."""
    copied = onnx.ModelProto()
    copied.CopyFrom(proto)
    insert_qdq_pairs(copied, points, ranges, platform)
    return copied


def shortest(exclude: Iterable[str]) -> tuple[str, ...]:
    """The exclusions without those below a layer that another exclusion names."""
    names = list(dict.fromkeys(exclude))
    return tuple(name for name in names if not any(name.startswith(f"{other}.") for other in names))


def difference(points: QuantizationPoints, rest: QuantizationPoints) -> QuantizationPoints:
    """The points that are in `points` and not in `rest`."""
    kept = {consumer for consumers in rest.activations for consumer in consumers}
    groups = (tuple(consumer for consumer in consumers if consumer not in kept) for consumers in points.activations)
    convolutions = tuple(name for name in points.convolutions if name not in set(rest.convolutions))
    return QuantizationPoints(convolutions, tuple(group for group in groups if group))


def _modules(selection: Int8Selection) -> Iterator[Part]:
    for module, prefix in MODULES.items():
        chosen = module in selection.modules
        try:
            points = find_quantization_points(selection.proto, [module], selection.exclude, selection.platform)
        except UsageError:  # all of it is excluded already
            continue
        yield Part(module, (prefix.removesuffix("."),), points, chosen)


def _layers(selection: Int8Selection, points: QuantizationPoints) -> list[Part]:
    """The layers. A layer has the points that excluding it removes: its convolutions, and activations only they read.

    An activation rounded between convolutions, such as a summand of a shortcut, belongs to the convolution before it:
    runtimes compute both at once. Where only the name of the residual block excludes a sum, the block stands for its
    last layer.
    """
    owners = _owners(selection.proto, points)
    found = []
    for name in dict.fromkeys(owners.values()):
        rest = selection.points([Part(name, (name,), points, True)])
        staying = {consumer.node for consumers in (rest or points).activations for consumer in consumers}
        between = {node for node in staying if owners[node] == name}
        exclude = shortest([name, *sorted(node.rpartition("/")[2] for node in between)])
        part = Part(exclude[0] if len(exclude) == 1 else name, exclude, points, True)
        rest = selection.points([part])
        found.append(part if rest is None else part._replace(points=difference(points, rest)))
    return found


def _owners(proto: onnx.ModelProto, points: QuantizationPoints) -> dict[str, str]:
    """The layer that each node at the points belongs to, by the name of the node."""
    nodes = {node.name: node for node in proto.graph.node}
    producers = {output: node for node in proto.graph.node for output in node.output}
    convolutions = set(points.convolutions)
    owners = {name: nodes[name].input[1].removesuffix(".weight") for name in points.convolutions}
    readers = {consumer.node for consumers in points.activations for consumer in consumers}
    for reader in readers - convolutions:
        node: onnx.NodeProto | None = nodes[reader]
        while node is not None and node.name not in convolutions:
            node = producers.get(node.input[0]) if node.input else None
        if node is not None:
            owners[reader] = owners[node.name]
    return owners
