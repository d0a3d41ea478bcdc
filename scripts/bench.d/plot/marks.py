"""The marks that charts are made of, and the axes that they stand on."""

from collections.abc import Callable, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter, NullLocator

import wording
from results import Spread
from style import INK, OURS, SOFT, in_order, layer, line_style, line_width, look, weight

Group = tuple[str, dict[str, Spread]]  # what it is called, and its bars


def line(axes: Axes, peer: str, points: Sequence[tuple[float, Spread]], **changes: Any) -> None:
    """A peer's medians, joined, with the band from the lowest to the highest round behind them."""
    places = [place for place, _ in points]
    colour = look(peer).colour
    looks: dict[str, Any] = {
        "color": colour,
        "marker": look(peer).marker,
        "linestyle": line_style(peer),
        "linewidth": line_width(peer),
        "markersize": 5 if peer == OURS else 4.5,
        "zorder": layer(peer),
    }
    lows, highs = [spread.low for _, spread in points], [spread.high for _, spread in points]
    axes.fill_between(
        places, lows, highs, color=colour, alpha=0.18 if peer == OURS else 0.09, linewidth=0, zorder=layer(peer) - 0.5
    )
    axes.plot(places, [spread.median for _, spread in points], **looks | changes)


def whiskered_line(axes: Axes, peer: str, points: Sequence[tuple[float, Spread]], **changes: Any) -> None:
    """The same with whiskers, where bands would lie upon each other."""
    if not points:
        return
    for place, spread in points:
        axes.plot([place, place], [spread.low, spread.high], "_-", color=look(peer).colour, linewidth=1, markersize=5)
    line(axes, peer, [(place, Spread(s.median, s.median, s.median)) for place, s in points], **changes)


def dot(axes: Axes, place: float, spread: Spread, colour: str, marker: str, *, hollow: bool = False) -> None:
    """A median on a row, with its spread."""
    whisker(axes, place, spread, colour)
    face = "white" if hollow else colour
    axes.plot(
        spread.median, place, marker, markersize=5.5, color=colour, markerfacecolor=face, markeredgewidth=1.3, zorder=5
    )


def whisker(axes: Axes, place: float, spread: Spread, colour: str = INK) -> None:
    axes.plot([spread.low, spread.high], [place, place], color=colour, linewidth=1, alpha=0.8, zorder=4)
    axes.plot([spread.low, spread.high], [place, place], "|", color=colour, markersize=5, alpha=0.8, zorder=4)


def bar(axes: Axes, place: float, peer: str, spread: Spread) -> None:
    """A horizontal bar with its spread."""
    axes.barh(place, spread.median, height=0.72, color=look(peer).colour, zorder=3)
    if spread.low < spread.high:
        whisker(axes, place, spread)


def labelled_bar(axes: Axes, place: float, peer: str, spread: Spread, unit: str) -> None:
    """The same with its value behind it."""
    bar(axes, place, peer, spread)
    beside(axes, (spread.high, place), wording.figure(spread.median, unit), weight=weight(peer))


def beside(axes: Axes, point: tuple[float, float], text: str, **looks: Any) -> None:
    """A text to the right of a mark."""
    axes.annotate(text, point, xytext=(6, 0), textcoords="offset points", va="center", size=8.5, zorder=6, **looks)


def at_the_end(axes: Axes, place: float, text: str, peer: str) -> None:
    """A text on a peer's row, at the panel's right edge."""
    transform = axes.get_yaxis_transform()
    axes.text(0.98, place, text, transform=transform, ha="right", va="center", size=8.5, weight=weight(peer), zorder=6)


def grouped_bars(axes: Axes, groups: Sequence[Group], unit: str) -> float:
    """Bars by peer under each group's name, from the top down; answers with where they end."""
    place = 0.0
    for name, spreads in groups:
        if name:
            axes.text(0, place, name, va="center", color=SOFT)
            place += 0.9
        for peer in in_order(spreads):
            labelled_bar(axes, place, peer, spreads[peer], unit)
            place += 0.9
        place += 0.35
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    return place - 0.75


def room_for_labels(axes: Axes, share: float = 0.3) -> None:
    """Widens a panel of bars from zero on, so that the values behind them stay inside."""
    axes.set_xlim(0, axes.dataLim.x1 * (1 + share) or 1)


def panel_title(axes: Axes, title: str, better: str, weight: str = "bold") -> None:
    """A panel's title, and below it in small which way is better."""
    above: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points"}
    axes.annotate(title, (0, 1), xytext=(0, 15), size=9, weight=weight, **above)
    axes.annotate(better, (0, 1), xytext=(0, 5), size=7.5, color=SOFT, **above)


def bare(axes: Axes) -> None:
    """Without a value axis: every bar says its value."""
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)


def log_axis(axis: Any, unit: str, steps: Sequence[float] = (1,)) -> None:
    """Powers of ten, written as `10 ms`, `100 ms`, `1 s`; or more steps than one from each to the next."""
    axis.set_major_locator(LogLocator(base=10, subs=steps, numticks=12))
    axis.set_minor_locator(LogLocator(base=10, subs=range(2, 10), numticks=12))
    axis.set_major_formatter(lambda value, _: wording.tick(value, unit))
    axis.set_minor_formatter(NullFormatter())


def ticks_at(axis: Any, values: Sequence[float], write: Callable[[float], str]) -> None:
    """Ticks where something was measured, and nowhere else."""
    axis.set_minor_locator(NullLocator())
    axis.set_ticks(list(values), [write(value) for value in values])


def two_lines(value: float) -> str:
    """A size in two lines: 256 KiB and 1 MiB stand close on an axis of sizes."""
    return wording.size(value).replace(" ", "\n")
