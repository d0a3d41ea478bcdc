"""Draws the stampede: when the last client has its answer, and what the origin got."""

from matplotlib.figure import Figure

import frame
import marks
import style
import wording
from charts.parts import KIB, curves, name_rows, nearest_case, note_on_get, of_size, people, spread_of
from results import Results


def stampede(results: Results) -> Figure | None:
    scenario = results.get("stampede")
    if not scenario:
        return None
    # Of a size that was measured with one number of clients alone there is no line to draw.
    clients_of = {size: scenario.values("clients", "last", size=size) for size in scenario.values("size", "last")}
    most = max(map(len, clients_of.values()), default=0)
    sizes = [size for size, clients in clients_of.items() if len(clients) > 1 or most == 1]
    if not sizes:
        return None
    peers = {peer for size in sizes for peer in scenario.by_peer("last", size=size)}
    figure, axes_of = frame.canvas(
        "How long until the last of many clients has its answer?",
        "All ask at once for one cold URL; counted from the origin's last byte on"
        f"{note_on_get(scenario.by_peer('last'))}.\n"
        f"Lower is better. {spread_of('Lines', scenario)}",
        [scenario],
        frame.handles(peers, lines=True),
        columns=len(sizes),
        sharey=True,
    )
    for axes, size in zip(axes_of, sizes, strict=True):
        axes.set_title(f"{wording.size(size)} body", loc="left")
        curves(axes, scenario, "last", "clients", size=size)
        axes.set(xscale="log", yscale="log", xlabel="clients")
        marks.ticks_at(axes.xaxis, clients_of[size], wording.count)
        axes.grid(axis="y")
    marks.log_axis(axes_of[0].yaxis, "ms")
    axes_of[0].set_ylabel("time to the last client")
    return figure


def origin(results: Results) -> Figure | None:
    scenario = results.get("stampede")
    if not scenario or not scenario.pick("origin"):
        return None
    case = nearest_case(scenario, "origin", clients=1000, size=100 * KIB)
    spreads = scenario.by_peer("origin", **case)
    peers = style.in_order(spreads)
    figure, (axes,) = frame.canvas(
        f"How many requests do {people(case, 'clients')} cost the origin?",
        f"All ask at once for one cold URL with a body{of_size(case)}. Lower is better.\n{spread_of('Bars', scenario)}",
        [scenario],
        left=1.85,
        height=1.7 + 0.34 * len(peers),
        above=0.15,
    )
    for place, peer in enumerate(peers):
        marks.labelled_bar(axes, place, peer, spreads[peer], "")
    axes.set_ylim(len(peers) - 0.4, -0.6)
    name_rows(axes, peers)
    marks.room_for_labels(axes, 0.1)
    axes.xaxis.set_major_formatter(lambda value, _: wording.count(value))
    axes.set_xlabel("requests to the origin")
    axes.grid(axis="x")
    return figure
