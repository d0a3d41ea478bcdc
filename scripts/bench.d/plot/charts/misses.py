"""Draws the misses: how fast many different cold URLs come in."""

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

import wording
from charts.parts import bar_panels, people
from results import Results, Scenario


def misses(results: Results) -> Figure | None:
    scenario = results.get("misses")
    if not scenario:
        return None
    return bar_panels(
        "How fast do many different cold URLs come in?",
        scenario,
        {
            "rate": (f"Misses a second{origin_takes(scenario, 'rate')}", "higher is better", scheme),
            "took": (
                f"Time until all are there{origin_takes(scenario, 'took')}",
                "lower is better",
                lambda case: ", ".join(filter(None, [people(case, "urls", "URLs"), scheme(case)])),
            ),
        },
    )


def origin_takes(scenario: Scenario, metric: str) -> str:
    times = scenario.values("origin_ms", metric)
    if len(times) != 1:
        return ""
    if not times[0]:
        return ", origin takes no time"
    return f", origin takes {wording.figure(times[0], 'ms')}"


def scheme(case: Mapping[str, Any]) -> str:
    return wording.case("tls", case.get("tls"))
