"""Draws what another client of the same server notices."""

from matplotlib.figure import Figure

import frame
import style
from charts.parts import log_rows, percentile_row, spread_of
from results import Results


def neighbours(results: Results) -> Figure | None:
    scenario = results.get("neighbours")
    if not scenario or not scenario.pick("ping_p999"):
        return None
    # As the benchmark goes through them.
    during = list(dict.fromkeys(str(figure.case.get("during", "")) for figure in scenario.pick("ping_p999")))
    peers = style.in_order(scenario.by_peer("ping_p999"))
    figure, (axes,) = frame.canvas(
        "What does a neighbour notice while the cache is at work?",
        "How long a neighbour waits for something small of the same server: a PING, or of an HTTP cache a small body.\n"
        f"Lower is better. {spread_of('Marks', scenario)}",
        [scenario],
        [
            *frame.handles(peers, marks=False),
            frame.mark("99.9 % wait up to this", "o"),
            frame.mark("the longest wait", "D", hollow=True),
        ],
        left=1.45,
        above=0.15,
        height=max(3.2, 2.0 + 0.165 * (len(peers) + 1) * len(during)),
    )
    places = []
    place = 0.0
    for name in during:
        first = place
        most, longest = (scenario.by_peer(metric, during=name) for metric in ("ping_p999", "ping_max"))
        for peer in style.in_order(most):
            found = [(most[peer], "o", False)] + ([(longest[peer], "D", True)] if peer in longest else [])
            percentile_row(axes, place, peer, found)
            place += 1
        places.append((first + place - 1) / 2)
        if name != during[-1]:
            axes.axhline(place, color=style.FAINT, linewidth=0.8)
        place += 1
    log_rows(axes, place, "ms")
    axes.set_ylim(place - 1, -1)
    axes.set_yticks(places, during, size=9)
    axes.tick_params(axis="y", length=0, labelcolor=style.INK)
    axes.set_xlabel("time from request to answer")
    return figure
