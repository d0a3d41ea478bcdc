"""Draws what the README shows: what a cold URL and what hits cost, by everyone."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

import frame
import marks
import style
import wording
from charts.parts import KIB, name_rows, nearest_case, note_on_get, of_size, people, spread_of
from results import Results, Spread

# How much of a panel the bars take; the values stand behind them, one below the other.
BARS = 0.66


def overview(results: Results) -> Figure | None:
    """What a newcomer should see: a stampede's end, what the origin got, and the hits a second."""
    hit, stampede = results.get("hit"), results.get("stampede")
    if not hit or not stampede:
        return None
    cold = nearest_case(stampede, "last", clients=1000, size=100 * KIB)
    warm = nearest_case(hit, "throughput", {"pipeline": 1}, size=KIB, connections=50)
    columns = [
        ("the last has its answer after", "lower is better", stampede.by_peer("last", **cold), "ms"),
        ("requests to the origin", "lower is better", stampede.by_peer("origin", **cold), ""),
        ("answers a second", "higher is better", hit.by_peer("throughput", **warm), "/s"),
    ]
    if not all(spreads for _, _, spreads, _ in columns):
        return None
    peers = style.in_order(peer for _, _, spreads, _ in columns for peer in spreads)
    peers = [peer for peer in peers if peer != style.GET_FOR_EVER]  # one GET is enough at a glance
    figure, panels = frame.canvas(
        "What does the GET that fills itself bring?",
        f"Cold: a body{of_size(cold)}; time counts from the origin's last byte{note_on_get(columns[0][2])}.\n"
        f"Warm: a body{of_size(warm)}, {people(warm, 'connections')}, no pipelining. "
        f"{spread_of('Bars', hit, stampede)}",
        [stampede, hit],
        columns=3,
        left=1.85,
        above=0.78,
        below=0.08,
        wspace=0.1,
        sharey=True,
    )
    for axes, (title, better, spreads, unit) in zip(panels, columns, strict=True):
        column(axes, peers, spreads, unit)
        marks.panel_title(axes, title, better, weight="normal")
    name_rows(panels[0], peers)
    heading(figure, panels[:2], f"Cold: {people(cold, 'clients')} ask at once for one URL")
    heading(figure, panels[2:], "Warm: hits")
    return figure


def column(axes: Axes, peers: Sequence[str], spreads: Mapping[str, Spread], unit: str) -> None:
    for place, peer in enumerate(peers):
        if peer in spreads:
            marks.bar(axes, place, peer, spreads[peer])
            marks.at_the_end(axes, place, wording.figure(spreads[peer].median, unit), peer)
        else:
            marks.at_the_end(axes, place, "—", peer)
    axes.set_ylim(len(peers) - 0.5, -0.5)
    marks.bare(axes)
    axes.set_xlim(0, max(spread.high for spread in spreads.values()) / BARS or 1)


def heading(figure: Figure, panels: Sequence[Axes], text: str) -> None:
    """A heading over some panels, with a rule below it."""
    left, right = panels[0].get_position().x0, panels[-1].get_position().x1
    inch = 1 / figure.get_figheight()
    rule = panels[0].get_position().y1 + 0.42 * inch
    figure.text(left, rule + 0.06 * inch, text, size=10, weight="bold", va="bottom")
    figure.add_artist(Line2D([left, right], [rule, rule], color=style.FAINT, linewidth=1))
