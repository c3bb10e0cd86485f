"""Boxes and coordinates as annotations give them, checked against the size of their image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from yolact.training.data.coco.faults import Fault, Misfit
from yolact.training.data.coco.json_values import is_nothing, read_number, shown, unquoted

MARGIN = 2
"""Pixels by which boxes and outlines may leave their image: annotation tools round."""

Box = tuple[float, float, float, float]
"""x, y, width, height in pixels."""

Size = tuple[int, int]
"""(height, width) in pixels."""

_SIDES = (("x", "y", "width", "height"), ("x", "y", "w", "h"), ("left", "top", "width", "height"))
_CORNERS = (("x1", "y1", "x2", "y2"), ("xmin", "ymin", "xmax", "ymax"), ("left", "top", "right", "bottom"))
"""Names of an object's values that can mean only one thing."""


def read_box(value: Any, size: Size) -> Box | None:
    """A box on an image of this size, whose width and height may be 0 or less; None where there is none.

    A list, also one written as text, or an object with names for the values. Raises Fault.
    """
    whole = unquoted(value)
    if isinstance(whole, list) and len(whole) == 1:
        (whole,) = whole
    given = _values(whole)
    if is_nothing(whole) or (given is not None and all(map(is_nothing, given))):
        return None
    numbers = tuple(number for number in map(read_number, given or ()) if number is not None)
    if len(numbers) != 4:
        raise Fault(f"has {shown(value)} as box; expected a box [x, y, width, height]")
    x, y, width, height = numbers
    if width > 0 and height > 0:
        check_pixels(numbers, size)
        check_inside((x, x + width), (y, y + height), size, "a box")
    return x, y, width, height


def _values(value: Any) -> Sequence[Any] | None:
    """x, y, width, height as they are given, if all four are."""
    if isinstance(value, list | tuple):
        return value if len(value) == 4 else None
    if not isinstance(value, dict):
        return None
    for names in _SIDES:
        if value.keys() == {*names}:
            return [value[name] for name in names]
    for names in _CORNERS:
        if value.keys() == {*names}:
            x1, y1, x2, y2 = (read_number(value[name]) for name in names)
            return None if x1 is None or y1 is None or x2 is None or y2 is None else (x1, y1, x2 - x1, y2 - y1)
    return None


_ROUNDING = 0.01


def check_pixels(numbers: Sequence[float], size: Size) -> None:
    """Raise Fault where coordinates on an image of this size are shares of it instead of pixels, as YOLO has them."""
    are_shares = min(numbers) >= -_ROUNDING and max(numbers) <= 1 + _ROUNDING and any(number % 1 for number in numbers)
    if are_shares and max(size) > MARGIN:
        raise Fault(
            "has coordinates that all lie between 0 and 1, as shares of the image; expected pixels, so multiply x by "
            "the image's width and y by its height"
        )


def check_inside(xs: Sequence[float], ys: Sequence[float], size: Size, what: str) -> None:
    """Raise Misfit where points leave an image of this size by more than `MARGIN`; `what` names their owner."""
    height, width = size
    if min(xs) < -MARGIN or min(ys) < -MARGIN or max(xs) > width + MARGIN or max(ys) > height + MARGIN:
        raise Misfit(
            f"has {what} from {min(xs):.6g}, {min(ys):.6g} to {max(xs):.6g}, {max(ys):.6g}, which does not lie in the "
            f"image of {width}x{height} pixels; annotations and images differ"
        )
