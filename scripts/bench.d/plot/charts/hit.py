"""Draws the hits: how many a second, how long they take, and what they cost beside a plain GET."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

import frame
import marks
import style
import wording
from charts.parts import KIB, curves, log_rows, name_rows, nearest_case, people, percentile_row, spread_of
from results import Results, Scenario, Spread, nearest


def throughput(results: Results) -> Figure | None:
    hit = results.get("hit")
    panels = hit.values("connections", "throughput", pipeline=1) if hit else []
    if not hit or not panels:
        return None
    peers = hit.by_peer("throughput", pipeline=1)
    figure, axes_of = frame.canvas(
        "How many hits a second?",
        f"One request at a time on each connection. Higher is better.\n{spread_of('Lines', hit)}",
        [hit],
        frame.handles(peers, lines=True),
        columns=len(panels),
        below=0.62,
        sharey=True,
    )
    for axes, connections in zip(axes_of, panels, strict=True):
        axes.set_title(people({"connections": connections}, "connections"), loc="left")
        curves(axes, hit, "throughput", "size", pipeline=1, connections=connections)
        size_axis(axes, hit, "throughput")
        axes.set_yscale("log")
    marks.log_axis(axes_of[0].yaxis, "/s", steps=(1, 2, 5))
    axes_of[0].set_ylabel("hits per second")
    return figure


def latency(results: Results) -> Figure | None:
    """A row per peer: over the sizes, nine lines of three percentiles each would be too many to tell apart."""
    hit = results.get("hit")
    if not hit or not hit.pick("p50", pipeline=1):
        return None
    case = nearest_case(hit, "p50", {"pipeline": 1}, connections=50)
    measured = hit.values("size", "p50", **case)
    sizes = sorted({nearest(measured, wanted) for wanted in (KIB, 256 * KIB)} - {None})
    peers = style.in_order(hit.by_peer("p50", **case))
    markers = {"p50": "o", "p99": "D", "p999": "s"}
    if not sizes:
        return None
    figure, axes_of = frame.canvas(
        "How long does a hit take?",
        f"With {people(case, 'connections')}, one request at a time on each. Lower is better.\n"
        f"{spread_of('Marks', hit)}",
        [hit],
        [
            frame.mark("50 % of the hits take up to this", "o"),
            frame.mark("99 %", "D"),
            frame.mark("99.9 %", "s", hollow=True),
        ],
        columns=len(sizes),
        height=1.7 + 0.4 * len(peers),
        left=1.85,
        sharey=True,
        sharex=True,
    )
    for axes, size in zip(axes_of, sizes, strict=True):
        axes.set_title(f"{wording.size(size)} body", loc="left")
        percentiles = {metric: hit.by_peer(metric, size=size, **case) for metric in markers}
        for place, peer in enumerate(peers):
            found = {metric: spreads[peer] for metric, spreads in percentiles.items() if peer in spreads}
            percentile_row(axes, place, peer, [(found[m], markers[m], m == "p999") for m in found])
        log_rows(axes, len(peers), "ms")
        axes.set_xlabel("time from request to answer")
    name_rows(axes_of[0], peers)
    return figure


def ratio(results: Results) -> Figure | None:
    """Ours against plain GET, round by round: what disturbs the machine in a round disturbs both."""
    hit = results.get("hit")
    if not hit or not (hit.pick("throughput") or hit.pick("cpu")):
        return None
    case = nearest_case(hit, "throughput", connections=50) or nearest_case(hit, "cpu", connections=50)
    panels = {
        "throughput": "Hits a second: higher is better",
        "cpu": "Server's CPU time a hit: lower is better",
    }
    # Side by side, as whiskers on one spot could not be told apart.
    looks: dict[int, tuple[str, float, dict[str, Any]]] = {
        1: ("one request at a time", 0.88, {}),
        16: ("pipelines of 16 requests", 1.14, {"linestyle": (0, (3, 1.5)), "markerfacecolor": "white"}),
    }
    colour = style.look(style.OURS).colour
    figure, axes_of = frame.canvas(
        "What does a hit cost beside a plain GET?",
        f"Each round's CACHE.GET against the same round's GET, with {people(case, 'connections')}.\n"
        f"{spread_of('Marks', hit)}",
        [hit],
        [
            *(Line2D([], [], label=label, color=colour, marker="o", **changes) for label, _, changes in looks.values()),
            Line2D([], [], label="the same as GET", color=style.look(style.GET).colour, linestyle=(0, (4, 2))),
        ],
        columns=2,
        below=0.62,
        sharey=True,
    )
    for axes, (metric, title) in zip(axes_of, panels.items(), strict=True):
        axes.set_title(title, loc="left")
        axes.axhline(1, color=style.look(style.GET).colour, linestyle=(0, (4, 2)), linewidth=1.5)
        for pipeline, (_, shift, changes) in looks.items():
            points = ratios(hit, metric, **case, pipeline=pipeline)
            marks.whiskered_line(axes, style.OURS, [(size * shift, spread) for size, spread in points], **changes)
        size_axis(axes, hit, metric)
    low, high = axes_of[0].get_ylim()
    axes_of[0].set_ylim(min(low, 0.8), max(high, 1.2))
    axes_of[0].yaxis.set_major_formatter(lambda value, _: f"{value:.2f}x")
    axes_of[0].set_ylabel("CACHE.GET ÷ GET")
    return figure


def ratios(hit: Scenario, metric: str, **case: Any) -> list[tuple[float, Spread]]:
    """For each size, ours against GET."""
    points = []
    for size in hit.values("size", metric, **case):
        rounds_of = {figure.peer: figure.rounds for figure in hit.pick(metric, size=size, **case)}
        ours, plain = rounds_of.get(style.OURS, ()), rounds_of.get(style.GET, ())
        # A round that one of them failed in leaves no pairs, and so no ratio.
        if ours and len(ours) == len(plain) and all(plain):
            points.append((size, Spread.of(a / b for a, b in zip(ours, plain, strict=True))))
    return points


def size_axis(axes: Axes, scenario: Scenario, metric: str) -> None:
    axes.set_xscale("log", base=2)
    marks.ticks_at(axes.xaxis, scenario.values("size", metric), marks.two_lines)
    axes.set_xlabel("body")
    axes.grid(axis="y")
