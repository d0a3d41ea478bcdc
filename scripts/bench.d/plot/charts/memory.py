"""Draws what entries, waiting clients and large bodies take of memory."""

from matplotlib.figure import Figure

from charts.parts import bar_panels, of_size, people
from results import Results


def memory(results: Results) -> Figure | None:
    scenario = results.get("memory")
    if not scenario:
        return None
    lower = "lower is better"
    return bar_panels(
        "How much memory does it take?",
        scenario,
        {
            "entry": ("An entry, beyond key and body", lower, lambda case: people(case, "entries")),
            "waiter": ("A client that waits", lower, lambda case: people(case, "clients") if "clients" in case else ""),
            "peak": ("Peak ÷ the body's size", lower, lambda case: f"a body{of_size(case)}"),
        },
    )
