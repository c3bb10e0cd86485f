"""The findings of `yolact-sensitivity`: as text, as JSON, and as the options of the export that follows."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from yolact.calib.quantization_points import MODULES
from yolact.runtime.json_text import to_json
from yolact.runtime.wording import count_noun

if TYPE_CHECKING:
    from yolact.calib.sensitivity.chart import Bar
    from yolact.calib.sensitivity.ranking import Granularity, Int8Selection, PartCost, Proposal
    from yolact.runtime.metadata import ModelMetadata


@dataclass(frozen=True)
class Report:
    """The findings.

    Attributes:
        metadata: of the network.
        selection: the parts that were asked for.
        by: the kind of parts that are ranked.
        measured: the meaning and unit of a cost, such as "points of mask AP lost".
        basis: the images it was measured on.
        decimals: significant decimals of a cost.
        ranking: the most costly part first.
        proposal: None where no limit was asked for.
    """

    metadata: ModelMetadata
    selection: Int8Selection
    by: Granularity
    measured: str
    basis: str
    decimals: int
    ranking: list[PartCost]
    proposal: Proposal | None

    @property
    def title(self) -> str:
        """Line above table and chart."""
        return f"{self.metadata.config.name}, INT8 for {self.selection.platform}, each {self.by[:-1]} alone"

    def lines(self, limit_option: str, calibration: Sequence[str]) -> Iterator[str]:
        """The report as lines for the terminal.

        Args:
            limit_option: name of the option that limits the cost.
            calibration: options of `yolact-export` that calibrate in the same way.
        """
        yield f"{self.title}: {self.measured}"
        yield self.basis
        yield ""
        width = max(len(one.part.name) for one in self.ranking)
        yield f"{self.by[:-1]:<{width}}  convolutions      cost"
        for part, cost in self.ranking:
            note = "" if part.chosen else "  not in --int8-modules"
            yield f"{part.name:<{width}}  {len(part.points.convolutions):>12}  {self._number(cost):>8}{note}"
        yield ""
        if self.proposal is None:
            yield f"give {limit_option} to learn which {self.by} to exclude"
            return
        yield f"cost of all of {', '.join(self.selection.modules)} in INT8: {self._number(self.proposal.cost_of_all)}"
        if self.proposal.parts:
            count = count_noun(len(self.proposal.parts), self.by[:-1])
            yield f"cost of all but {count} of {self.proposal.total} in INT8: {self._number(self.proposal.cost)}"
        if self.proposal.met:
            yield f"this is within {limit_option} {self.proposal.limit:g}; export with"
            yield self._export_command(self.proposal, calibration)

    def failure(self, limit_option: str) -> str | None:
        """The reason why no exclusions are proposed; None where some are, or none were asked for."""
        found = self.proposal
        if found is None or found.met:
            return None
        return (
            f"only excluding everything would keep the cost within {limit_option} {found.limit:g}: the best proposal "
            f"leaves out {len(found.parts)} of {found.total} {self.by} and costs {self._number(found.cost)} "
            f"({self.measured}); allow more, name fewer --int8-modules, or {self._finer()}"
        )

    def _export_command(self, proposal: Proposal, calibration: Sequence[str]) -> str:
        """The command that exports with this proposal; the user has to put in the name of the checkpoint."""
        words = ["yolact-export", "--weights", "CHECKPOINT.pth", "--int8", "--int8-platform", self.selection.platform]
        exclude = dict.fromkeys((*self.selection.exclude, *proposal.exclude))
        left_out = {MODULES[module].removesuffix(".") for module in self.selection.modules} & exclude.keys()
        modules = [module for module in self.selection.modules if MODULES[module].removesuffix(".") not in left_out]
        words += ["--int8-modules", ",".join(modules)]
        words += calibration
        for name in exclude:
            if name not in left_out:
                words += ["--exclude", name]
        return shlex.join(words)

    def _number(self, cost: float) -> str:
        # Adding zero turns the minus zero of a tiny gain into zero.
        return f"{round(cost, self.decimals) + 0.0:.{self.decimals}f}" if math.isfinite(cost) else "breaks"

    def _finer(self) -> str:
        return "rank --by layers" if self.by == "modules" else "calibrate on more images or by another algorithm"

    def to_json(self) -> bytes:
        """The whole report as JSON; an infinite cost is null."""
        content: dict[str, Any] = {
            "model": self.metadata.config.name,
            "weights_sha256": self.metadata.weights_sha256,
            "by": self.by,
            "measured": self.measured,
            "basis": self.basis,
            "platform": self.selection.platform,
            "modules": self.selection.modules,
            "exclude": self.selection.exclude,
            "ranking": [
                {
                    "name": part.name,
                    "exclude": part.exclude,
                    "convolutions": len(part.points.convolutions),
                    "chosen": part.chosen,
                    "cost": _finite(cost),
                }
                for part, cost in self.ranking
            ],
        }
        if self.proposal is not None:
            content["proposal"] = {
                "limit": self.proposal.limit,
                "met": self.proposal.met,
                "cost_of_all": _finite(self.proposal.cost_of_all),
                "exclude": self.proposal.exclude,
                "cost": _finite(self.proposal.cost),
            }
        return (to_json(content, indent=1) + "\n").encode()

    def bars(self) -> list[Bar]:
        """The bars of the chart, one for each part, in the order of the ranking."""
        from yolact.calib.sensitivity.chart import Bar

        excluded = [part.name for part in self.proposal.parts] if self.proposal is not None else []
        return [
            Bar(
                part.name,
                cost,
                "untouched" if not part.chosen else "excluded" if part.name in excluded else "quantised",
            )
            for part, cost in self.ranking
        ]


def _finite(cost: float) -> float | None:
    return cost if math.isfinite(cost) else None
