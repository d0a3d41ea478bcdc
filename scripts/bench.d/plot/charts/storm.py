"""Draws the expiry storm: the longest wait, and what the origin got."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

import frame
import marks
import style
import wording
from charts.parts import MICROSECOND, log_rows, name_rows, people, spread_of
from results import Results, Scenario, Spread


def storm(results: Results) -> Figure | None:
    scenario = results.get("storm")
    if not scenario or not scenario.pick("longest"):
        return None
    case: dict[str, Any] = {}
    for key in ("urls", "rate"):
        if values := scenario.values(key, "longest", **case):
            case[key] = values[-1]
    titles = {0: "Without stale service", 1: "With stale service"}
    waits = {stale: rows_of(scenario, "longest", stale=stale, **case) for stale in titles}
    panels = [stale for stale in titles if waits[stale]]
    if not panels:
        return None
    peers = style.in_order(peer for stale in panels for peer in waits[stale])
    figure, axes_of = frame.canvas(
        "Hot URLs expire: how long does the unluckiest client wait?",
        f"{people(case, 'urls', 'URLs')}, {people(case, 'rate', 'calls')} a second; requests: what the origin got per "
        f"URL and expiry. Lower is better.\n{spread_of('Marks', scenario)}{exceptions(peers, waits)}",
        [scenario],
        columns=len(panels),
        left=1.85,
        sharey=True,
        sharex=True,
    )
    for axes, stale in zip(axes_of, panels, strict=True):
        axes.set_title(titles[stale], loc="left")
        axes.set_title("requests", loc="right", size=8, weight="normal", color=style.SOFT)
        axes.set_xlabel("longest wait")
        origin = rows_of(scenario, "origin", stale=stale, **case)
        for place, peer in enumerate(peers):
            wait_row(axes, place, peer, waits[stale].get(peer), origin.get(peer))
        log_rows(axes, len(peers), "ms")
    low, high = axes_of[0].get_xlim()
    axes_of[0].set_xticks([tick for tick in axes_of[0].get_xticks() if low <= tick <= high])
    axes_of[0].xaxis.set_minor_locator(NullLocator())
    axes_of[0].set_xlim(low, high * (high / low) ** 0.42)  # for what stands beside the marks
    name_rows(axes_of[0], peers)
    return figure


def exceptions(peers: Sequence[str], waits: Mapping[int, Mapping[str, Spread]]) -> str:
    """Whose figures are not what they seem."""
    told = []
    if style.NEVER_EXPIRES in peers:
        told.append(f"Hollow: {style.NEVER_EXPIRES} prolongs an entry at each hit, so that here none ever expires.")
    if waits[1] and not waits[1].keys() >= waits[0].keys():
        told.append("—: has no stale service.")
    return "\n" + " ".join(told) if told else ""


def rows_of(scenario: Scenario, metric: str, **case: Any) -> dict[str, Spread]:
    """By peer; ours with STALE is on the row of ours, if that has nothing else to show."""
    spreads = scenario.by_peer(metric, **case)
    if style.OURS not in spreads and style.OURS_STALE in spreads:
        spreads[style.OURS] = spreads.pop(style.OURS_STALE)
    return spreads


def wait_row(axes: Axes, place: float, peer: str, wait: Spread | None, origin: Spread | None) -> None:
    if not wait:
        marks.at_the_end(axes, place, "—", peer)
        return
    wait = wait.at_least(MICROSECOND)
    marks.dot(axes, place, wait, style.look(peer).colour, "o", hollow=peer == style.NEVER_EXPIRES)
    marks.beside(axes, (wait.high, place), wording.figure(wait.median, "ms"), weight=style.weight(peer))
    if origin:
        marks.at_the_end(axes, place, wording.figure(origin.median, ""), peer)
