"""Draws how each cost grows with its size: how steep, and from what to what."""

import textwrap

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

import frame
import marks
import style
import wording
from charts.parts import spread_of
from results import Results, Scenario, Spread

Curves = dict[str, list[tuple[float, Spread]]]  # by peer: a factor, and what it costs


def growth(results: Results) -> Figure | None:
    scenario = results.get("growth")
    if not scenario:
        return None
    named = dict.fromkeys(str(figure.case.get("headline", "")) for figure in scenario.pick("cost"))
    costs = {name: found for name in named if (found := costs_of(scenario, name))}
    if not costs:
        return None
    columns = min(3, len(costs))
    rows = -(-len(costs) // columns)
    figure, axes_of = frame.canvas(
        "Ten and a hundred times as much: does the cost grow with it?",
        "Steepness shows how each cost grows from its own start, and so not whose is less: for that, the numbers say "
        f"from what to what. {spread_of('Lines', scenario)}",
        [scenario],
        [
            *frame.handles(scenario.by_peer("cost"), lines=True),
            Line2D([], [], label="growth in proportion; flatter is better", color=style.SOFT, linestyle=":"),
        ],
        rows=rows,
        columns=columns,
        height=1.5 + max(2.0 * rows, 3.0),
        above=0.42,
        hspace=0.55,
        sharex=True,
        sharey=True,
    )
    for axes, (headline, found) in zip(axes_of, costs.items(), strict=False):
        axes.set_title(textwrap.fill(headline, 32), loc="left", size=8.5)
        panel(axes, found, scenario.pick("cost", headline=headline)[0].unit)
    mark_axes(axes_of, len(costs), columns, scenario.values("factor", "cost"))
    return figure


def mark_axes(axes_of: list[Axes], panels: int, columns: int, factors: list[float]) -> None:
    first = axes_of[0]
    first.set(xscale="log", yscale="log")
    marks.ticks_at(first.xaxis, factors, times)
    low, _ = first.get_ylim()
    marks.ticks_at(first.yaxis, factors, times)
    first.set_ylim(low, 40 * factors[-1])  # above the curves stand the numbers
    for axes in axes_of[panels:]:
        axes.remove()
    for axes in axes_of[max(0, panels - columns) : panels]:
        axes.tick_params(labelbottom=True)
        axes.set_xlabel("size")
    for axes in axes_of[:panels:columns]:
        axes.set_ylabel("cost")


def times(factor: float) -> str:
    return f"x{factor:,g}"


def costs_of(scenario: Scenario, headline: str) -> Curves:
    """Each peer's costs by factor. A slope needs two points, and a multiple something to be one of."""
    found: Curves = {}
    for factor in scenario.values("factor", "cost", headline=headline):
        for peer, spread in scenario.by_peer("cost", headline=headline, factor=factor).items():
            found.setdefault(peer, []).append((factor, spread))
    return {peer: points for peer, points in found.items() if len(points) > 1 and points[0][1].median > 0}


def panel(axes: Axes, costs: Curves, unit: str) -> None:
    """The costs as multiples of the smallest case's; and in numbers, how they start and end."""
    factors = sorted({factor for points in costs.values() for factor, _ in points})
    start, end = factors[0], factors[-1]
    axes.plot([start, end], [1, end / start], color=style.SOFT, linestyle=":", linewidth=1.3, zorder=1)
    for row, peer in enumerate(style.in_order(costs)):
        points = costs[peer]
        first, last = points[0][1].median, points[-1][1].median
        marks.line(axes, peer, [(factor, spread.over(first)) for factor, spread in points])
        axes.annotate(
            f"{wording.figure(first, unit)} → {wording.figure(last, unit)}",
            (0.03, 0.98 - 0.12 * row),
            xycoords="axes fraction",
            va="top",
            size=7.5,
            weight="bold" if peer == style.OURS else "normal",
            color=style.look(peer).colour,
            zorder=6,
        )
    axes.grid(axis="y")
