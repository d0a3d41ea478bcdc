"""What several charts are made of: cases, captions, rows, curves and panels of bars."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import NullLocator
from matplotlib.transforms import blended_transform_factory

import frame
import marks
import style
import wording
from results import Scenario, Spread, nearest

KIB = 1024
MICROSECOND = 1e-3  # in the benchmark's milliseconds: its clocks tell no less


def nearest_case(
    scenario: Scenario, metric: str, given: Mapping[str, Any] | None = None, /, **wanted: float
) -> dict[str, Any]:
    """The case that a chart is made for, or the nearest to it that was measured, key by key; what is given, stays."""
    case = dict(given or {})
    for key, value in wanted.items():
        found = nearest(scenario.values(key, metric, **case), value)
        if found is not None:
            case[key] = found
    return case


def people(case: Mapping[str, Any], key: str, several: str = "") -> str:
    """As in `50 connections`."""
    several = several or key
    if key not in case:
        return f"many {several}"
    one = several.removesuffix("ies") + "y" if several.endswith("ies") else several.removesuffix("s")
    return f"{wording.count(case[key])} {one if case[key] == 1 else several}"


def of_size(case: Mapping[str, Any]) -> str:
    return f" of {wording.size(case['size'])}" if "size" in case else ""


def note_on_get(stampeders: Mapping[str, Spread]) -> str:
    """What plain GET does in a stampede, if it was there."""
    return "; GET is for a body that is there already" if style.GET in stampeders else ""


def spread_of(drawn: str, *scenarios: Scenario) -> str:
    """What the marks of a chart show."""
    found = {len(figure.rounds) for scenario in scenarios for figure in scenario.figures}
    low, high = min(found), max(found)
    several = f"{high} rounds" if low == high else f"{low} to {high} rounds"
    ends = "bands: lowest to highest" if drawn == "Lines" else "whiskers: lowest and highest"
    return f"{drawn}: the median of {several}; {ends}."


def curves(axes: Axes, scenario: Scenario, metric: str, along: str, **case: Any) -> None:
    """A line per peer."""
    found: dict[str, list[tuple[float, Spread]]] = {}
    for value in scenario.values(along, metric, **case):
        for peer, spread in scenario.by_peer(metric, **case, **{along: value}).items():
            found.setdefault(peer, []).append((value, spread))
    for peer, points in found.items():
        marks.line(axes, peer, points)


def percentile_row(axes: Axes, place: float, peer: str, found: Sequence[tuple[Spread, str, bool]]) -> None:
    """Some percentiles on a row, with their markers and whether these are hollow: each a little lower than the last,
    or nobody could tell whose a whisker is."""
    for number, (spread, marker, hollow) in enumerate(found):
        shift = 0.27 * (number - (len(found) - 1) / 2)
        marks.dot(axes, place + shift, spread.at_least(MICROSECOND), style.look(peer).colour, marker, hollow=hollow)


def log_rows(axes: Axes, rows: float, unit: str) -> None:
    """Rows from the top down, along a logarithmic axis."""
    axes.set_ylim(rows - 0.5, -0.5)
    axes.set_xscale("log")
    marks.log_axis(axes.xaxis, unit)
    axes.grid(axis="x")


def name_rows(axes: Axes, peers: Sequence[str]) -> None:
    """Names a figure's rows by the peers, left of the first panel; ours is highlighted through all panels."""
    axes.set_yticks(range(len(peers)), [style.look(peer).label for peer in peers], size=9)
    axes.yaxis.set_minor_locator(NullLocator())
    figure = axes.get_figure(root=True)
    assert figure is not None
    for panel in figure.axes:
        panel.tick_params(axis="y", length=0)
        panel.patch.set_visible(False)
    for label, peer in zip(axes.get_yticklabels(), peers, strict=True):
        label.set(color=style.INK, weight=style.weight(peer))
    if style.OURS in peers:
        top = peers.index(style.OURS) - 0.5
        across = blended_transform_factory(figure.transFigure, axes.transData)
        edge = frame.EDGE / frame.WIDTH
        looks: dict[str, Any] = {"facecolor": style.HIGHLIGHT, "edgecolor": "none", "zorder": -1}
        figure.add_artist(Rectangle((edge, top), 1 - 2 * edge, 1, transform=across, **looks))


# For each metric its title, which way is better, and how its cases are called.
Panels = Mapping[str, tuple[str, str, Callable[[Mapping[str, Any]], str]]]


def bar_panels(title: str, scenario: Scenario, panels: Panels) -> Figure | None:
    """A panel per metric that was measured, with a group of bars per case."""
    drawn = {metric: groups(scenario, metric, name) for metric, (_, _, name) in panels.items() if scenario.pick(metric)}
    if not drawn:
        return None
    bars = max(sum(len(spreads) + 1.3 for _, spreads in found) for found in drawn.values())
    figure, axes_of = frame.canvas(
        title,
        spread_of("Bars", scenario),
        [scenario],
        frame.handles({peer for found in drawn.values() for _, spreads in found for peer in spreads}, marks=False),
        columns=len(drawn),
        left=0.25,
        below=0.05,
        above=0.45,
        height=max(3.4, 1.65 + 0.21 * bars),
        sharey=True,
    )
    ends = []
    for axes, (metric, found) in zip(axes_of, drawn.items(), strict=True):
        unit = scenario.pick(metric)[0].unit
        marks.panel_title(axes, *panels[metric][:2])
        ends.append(marks.grouped_bars(axes, found, unit))
        marks.bare(axes)
        marks.room_for_labels(axes)
    axes_of[0].set_ylim(max(ends), -0.6)
    return figure


def groups(scenario: Scenario, metric: str, name: Callable[[Any], str]) -> list[marks.Group]:
    """The metric's figures by their cases, in order."""
    found: dict[str, dict[str, Spread]] = {}
    figures = scenario.pick(metric)
    for figure in sorted(figures, key=lambda figure: [(key, figure.case[key]) for key in sorted(figure.case)][::-1]):
        found.setdefault(name(figure.case), {}).setdefault(figure.peer, figure.spread)
    return list(found.items())
