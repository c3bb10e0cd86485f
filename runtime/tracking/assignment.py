"""The one-to-one assignment with the largest sum."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def assign(similarity: NDArray[np.floating]) -> NDArray[np.intp]:
    """Pairs (n, 2) of a row and a column of a matrix (R, C), in the order of rows, whose sum is the largest there is.

    No row and no column is in two pairs; those whose similarity is 0 or less stay alone, as do all that are left over.
    Shortest augmenting paths (Jonker and Volgenant 1987), so that the runtime needs no SciPy.

    Raises ValueError where a number is not finite or there are not two dimensions.
    """
    if similarity.ndim != 2 or not np.isfinite(similarity).all():
        raise ValueError(f"similarity must be a finite matrix, got shape {similarity.shape}")
    gain = np.maximum(similarity.astype(np.float64), 0)
    turned = gain.shape[0] > gain.shape[1]
    rows = _cheapest(-gain.T if turned else -gain)
    pairs = np.stack([rows, np.arange(len(rows))] if turned else [np.arange(len(rows)), rows], axis=1)
    pairs = pairs[gain[pairs[:, 0], pairs[:, 1]] > 0]
    chosen: NDArray[np.intp] = pairs[pairs[:, 0].argsort()]
    return chosen


def _cheapest(cost: NDArray[np.float64]) -> NDArray[np.intp]:
    """For each of R rows its column in the cheapest assignment of all rows, of a matrix (R, C) with R <= C."""
    count, columns = cost.shape
    row_price, column_price = np.zeros(count), np.zeros(columns)
    owner = np.full(columns, -1)
    for start in range(count):
        shortest, before = np.full(columns, np.inf), np.full(columns, -1)
        done = np.zeros(columns, np.bool_)
        row, last, length = start, -1, 0.0
        reached = [(start, 0.0)]
        while True:
            through = length + cost[row] - row_price[row] - column_price
            better = ~done & (through < shortest)
            shortest[better], before[better] = through[better], last
            last = int(np.where(done, np.inf, shortest).argmin())
            length, row = float(shortest[last]), int(owner[last])
            done[last] = True
            if row < 0:
                break
            reached.append((row, length))
        for row, at in reached:
            row_price[row] += length - at
        column_price[done] -= length - shortest[done]
        while last >= 0:
            previous = int(before[last])
            owner[last] = start if previous < 0 else owner[previous]
            last = previous
    assigned = np.empty(count, np.intp)
    taken = np.flatnonzero(owner >= 0)
    assigned[owner[taken]] = taken
    return assigned
