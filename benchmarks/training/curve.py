"""Draw curves of training runs, from their TensorBoard files, as an SVG.

    python -m benchmarks.training curve RUN [RUN ...] --title TEXT --output docs/results/overfit.svg

Several runs are drawn one after the other, as when one starts from the other's weights.
"""

from __future__ import annotations

from pathlib import Path

import click
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from yolact.cli.command import reports_errors
from yolact.runtime.errors import YolactError
from yolact.runtime.output_files import write_output

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 340, 56, 130, 44, 40
LOSSES = {
    "loss/confidence": "#1f77b4",
    "loss/mask": "#2ca02c",
    "loss/box": "#ff7f0e",
    "loss/segmentation": "#7f7f7f",
}
SCORES = {"validation/mask AP": "#d62728", "validation/box AP": "#9467bd"}

Points = list[tuple[float, float]]


def read(runs: tuple[Path, ...]) -> tuple[dict[str, Points], float]:
    """Curves by name, and the iteration at which the last one ends. Raises YolactError where a loss has no curve."""
    curves: dict[str, Points] = {}
    offset = 0.0
    for run in runs:
        events = EventAccumulator(str(run), size_guidance={"scalars": 0}).Reload()
        last = offset
        for name in (*LOSSES, *SCORES):
            for event in events.Scalars(name) if name in events.Tags()["scalars"] else []:
                curves.setdefault(name, []).append((offset + event.step, event.value))
                last = max(last, offset + event.step)
        offset = last
    if missing := [name for name in LOSSES if name not in curves]:
        folders = ", ".join(map(str, runs))
        raise YolactError(f"{folders}: expected the TensorBoard files of yolact-train, got none with {missing[0]}")
    return {name: sorted(points) for name, points in curves.items()}, offset


def polyline(points: Points, end: float, top: float, color: str, *, marked: bool) -> str:
    """One curve in the plot's coordinates."""
    placed = [
        (LEFT + x / end * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - min(y / top, 1) * (HEIGHT - TOP - BOTTOM))
        for x, y in points
    ]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{color}"/>' for x, y in placed) if marked else ""
    return f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="{2 if marked else 1.3}"/>{dots}'


def label(x: float, y: float, text: str, color: str = "#333", anchor: str = "start") -> str:
    """A line of text in the picture."""
    return f'<text x="{x:.0f}" y="{y:.0f}" fill="{color}" text-anchor="{anchor}">{text}</text>'


def draw(curves: dict[str, Points], end: float, title: str) -> str:
    """The picture: losses on the left axis, average precision on the right one."""
    top = 1.05 * max(y for name in LOSSES for x, y in curves[name] if x > 0.03 * end)
    base, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    parts = [label(LEFT, 22, title)]
    for step in range(5):
        share = step / 4
        y = base - share * (base - TOP)
        parts.append(f'<line x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        parts += [label(LEFT - 6, y + 4, f"{share * top:.1f}", anchor="end"), label(right + 6, y + 4, f"{25 * step} %")]
        parts.append(label(LEFT + share * (right - LEFT), base + 18, f"{share * end:.0f}", anchor="middle"))
    parts += [
        label(LEFT - 44, TOP - 8, "loss"),
        label(right + 6, TOP - 8, "AP"),
        label(right - 60, HEIGHT - 6, "iteration"),
    ]
    for row, (name, color) in enumerate({**LOSSES, **SCORES}.items()):
        is_score = name in SCORES
        parts.append(polyline(curves.get(name, []), end, 1.0 if is_score else top, color, marked=is_score))
        parts.append(label(right + 48, TOP + 18 * (row + 1), name.split("/")[1], color))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="12"><rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>{"".join(parts)}</svg>\n'
    )


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--title", default="", help="Above the curves.")
@click.option("--output", type=click.Path(path_type=Path), required=True, help="The SVG file.")
@reports_errors
def main(runs: tuple[Path, ...], title: str, output: Path) -> None:
    """Draw losses and average precision of training runs, one after the other."""
    write_output(output, draw(*read(runs), title).encode())
