"""The frame of a chart: its title, legend and panels, and where its figures are from."""

import math
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

import wording
from results import Scenario
from style import SOFT, in_order, line_style, line_width, look

WIDTH, EDGE = 8.0, 0.18  # in inches


def canvas(
    title: str,
    subtitle: str,
    sources: Sequence[Scenario],
    legend: Sequence[Line2D] = (),
    *,
    rows: int = 1,
    columns: int = 1,
    height: float = 4.5,
    left: float = 0.85,
    below: float = 0.5,
    above: float = 0.3,
    wspace: float = 0.12,
    hspace: float = 0.45,
    **axes: Any,
) -> tuple[Figure, list[Axes]]:
    """A titled figure with its panels; `left`, `below` and `above` are the inches that their labels take."""
    figure = Figure(figsize=(WIDTH, height), facecolor="white")
    figure.text(EDGE / WIDTH, 1 - 0.16 / height, title, size=13, weight="bold", va="top")
    subtitle = "\n".join(textwrap.fill(text, 122) for text in subtitle.splitlines())
    figure.text(EDGE / WIDTH, 1 - 0.44 / height, subtitle, size=8.5, color=SOFT, va="top", linespacing=1.35)
    used = 0.44 + 0.17 * (subtitle.count("\n") + 1)
    if legend:
        used += add_legend(figure, legend, EDGE / WIDTH, 1 - (used + 0.04) / height, WIDTH - 2 * EDGE)
    caption = provenance(sources)
    figure.text(EDGE / WIDTH, 0.1 / height, caption, size=6.8, color="#808080", va="bottom", linespacing=1.35)
    grid = figure.add_gridspec(
        rows,
        columns,
        left=left / WIDTH,
        right=1 - 0.2 / WIDTH,
        top=1 - (used + above) / height,
        bottom=(0.16 + 0.13 * (caption.count("\n") + 1) + below) / height,
        wspace=wspace,
        hspace=hspace,
    )
    return figure, list(grid.subplots(squeeze=False, **axes).flat)


def add_legend(figure: Figure, handles: Sequence[Line2D], left: float, top: float, room: float) -> float:
    """Adds it in as few rows as fit, read row by row; answers with the inches that it takes."""
    widths = [0.064 * len(str(handle.get_label())) + 0.48 for handle in handles]
    columns = len(handles) if sum(widths) <= room else min(4, int(room / max(widths)))
    lines = math.ceil(len(handles) / columns)
    by_column = [handle for column in range(columns) for handle in handles[column::columns]]
    figure.legend(
        handles=by_column,
        loc="upper left",
        bbox_to_anchor=(left, top),
        ncols=columns,
        borderaxespad=0,
        borderpad=0.1,
        columnspacing=1.4,
        handletextpad=0.5,
        handlelength=1.8,
    )
    return 0.08 + 0.19 * lines


def provenance(sources: Sequence[Scenario]) -> str:
    """Where the figures are from, in two lines: machine and versions; day, commit and command. Each is said once."""
    made_on = [part for source in sources for part in (wording.machine(source), wording.versions(source))]
    made_by = [part for source in sources for part in (source.date, f"commit {source.commit}", source.command)]
    lines = ["  ·  ".join(dict.fromkeys(part for part in parts if part)) for parts in (made_on, made_by)]
    return "\n".join(textwrap.fill(line, 150) for line in lines)


def handles(peers: Iterable[str], *, lines: bool = False, marks: bool = True) -> list[Line2D]:
    """The legend's entries of these peers."""
    return [
        Line2D(
            [],
            [],
            label=look(peer).label,
            color=look(peer).colour,
            marker=(look(peer).marker if marks else "s"),
            linestyle=line_style(peer) if lines else "none",
            linewidth=line_width(peer),
            markersize=5.5 if marks else 7,
        )
        for peer in in_order(peers)
    ]


def mark(label: str, marker: str, *, hollow: bool = False) -> Line2D:
    """A legend's entry for a mark that all peers have, each in its colour."""
    face = "white" if hollow else SOFT
    return Line2D([], [], label=label, color=SOFT, marker=marker, markerfacecolor=face, linestyle="none")
