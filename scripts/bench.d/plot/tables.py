"""Writes the tables of a Markdown document: what stands between `<!-- table: NAME -->` and `<!-- end -->`."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import style
import wording
from results import Figure, Results, Scenario, Unusable

START = re.compile(r"<!-- table: *(?P<name>[^\n>]*?) *-->")
# From a start to the next end, with no other start between.
TABLE = re.compile(rf"(?P<start>{START.pattern})(?:(?!<!-- table:).)*?(?P<end><!-- end -->)", re.DOTALL)

# A table's scenario, and its metrics with what they are called in a column of their own if they are several.
TABLES: dict[str, tuple[str, dict[str, str]]] = {
    "hit-throughput": ("hit", {"throughput": ""}),
    "hit-latency": ("hit", {"p50": "p50", "p99": "p99", "p999": "p99.9"}),
    "hit-cpu": ("hit", {"cpu": ""}),
    "stampede": (
        "stampede",
        {"last": "last client", "p50": "p50", "p99": "p99", "ping": "a neighbour's longest PING"},
    ),
    "stampede-origin": ("stampede", {"origin": ""}),
    "storm": (
        "storm",
        {"longest": "longest wait", "p99": "p99", "origin": "origin's requests per URL and expiry"},
    ),
    "misses": ("misses", {"rate": "misses a second", "took": "time until all are there"}),
    "neighbours": ("neighbours", {"ping_p999": "p99.9", "ping_max": "longest"}),
    "memory": (
        "memory",
        {
            "entry": "per entry, beyond key and body",
            "waiter": "per waiting client",
            "peak": "peak, as a multiple of the body",
        },
    ),
    "growth": ("growth", {"cost": ""}),
}
HIGHER_IS_BETTER = {"throughput", "rate"}
NO_RESULTS = "_Not measured yet._"


def fill(document: str, results: Results) -> str:
    """The document with its tables made anew."""
    check(document)
    return TABLE.sub(lambda found: f"{found['start']}\n\n{table(found['name'], results)}\n\n{found['end']}", document)


def check(document: str) -> None:
    """That all marked tables are known, and have an end."""
    ended = {found.start() for found in TABLE.finditer(document)}
    known = ["machine", *TABLES]
    for start in START.finditer(document):
        line = document.count("\n", 0, start.start()) + 1
        if start["name"] not in known:
            raise Unusable(f"line {line}: no table is called {start['name']!r}; there are {', '.join(known)}.")
        if start.start() not in ended:
            raise Unusable(f"line {line}: the table {start['name']!r} has no <!-- end -->.")


def table(name: str, results: Results) -> str:
    if name == "machine":
        return machine(results)
    scenario_name, metrics = TABLES[name]
    scenario = results.get(scenario_name)
    figures = [figure for figure in scenario.figures if figure.metric in metrics] if scenario else []
    return peers_table(figures, metrics) if figures else NO_RESULTS


def peers_table(figures: Sequence[Figure], metrics: Mapping[str, str]) -> str:
    """A row per case and metric, a column per peer."""
    keys = wording.keys_in_order(key for figure in figures for key in figure.case)
    peers = sorted(style.in_order(figure.peer for figure in figures), key=lambda peer: peer not in style.REFERENCES)
    rows: dict[tuple[Any, ...], dict[str, Figure]] = {}
    for figure in sorted(figures, key=row_order(figures, metrics)):
        row = (*(figure.case.get(key) for key in keys), figure.metric)
        rows.setdefault(row, {}).setdefault(figure.peer, figure)
    several = len(metrics) > 1
    head = [*(wording.KEYS.get(key, key) for key in keys), *([""] if several else []), *peers]
    lines = []
    for (*case, metric), found in rows.items():
        label = [metrics[metric]] if several else []
        lines.append([*map(wording.case, keys, case), *label, *cells(peers, found)])
    return markdown(head, lines, left=len(head) - len(peers))


def row_order(figures: Sequence[Figure], metrics: Iterable[str]) -> Callable[[Figure], Any]:
    """By the case, then by the metric: numbers from small to large, and names as the benchmark goes through them."""
    keys = wording.keys_in_order(key for figure in figures for key in figure.case)
    names = list(dict.fromkeys(value for figure in figures for value in figure.case.values() if isinstance(value, str)))
    order = list(metrics)
    # Metrics with cases of other keys, as memory's are, are kinds of rows, one below the other.
    by_metric = sorted(figures, key=lambda figure: order.index(figure.metric))
    kinds = list(dict.fromkeys(frozenset(figure.case) for figure in by_metric))

    def place(figure: Figure) -> Any:
        values = [figure.case.get(key) for key in keys]
        numbers = [names.index(value) if isinstance(value, str) else value or 0 for value in values]
        return kinds.index(frozenset(figure.case)), numbers, order.index(figure.metric)

    return place


def cells(peers: Iterable[str], found: Mapping[str, Figure]) -> list[str]:
    """The row's figures, the best in bold. Without rivals nobody is best; who reads alike is as good."""
    rivals = [figure for figure in found.values() if is_rival(figure)]
    best = ""
    if len(rivals) > 1:
        choose = max if rivals[0].metric in HIGHER_IS_BETTER else min
        best = median(choose(rivals, key=lambda figure: figure.spread.median))
    return [cell(found[peer], best if is_rival(found[peer]) else "") if peer in found else "" for peer in peers]


def is_rival(figure: Figure) -> bool:
    """Whether it does what the others do: not a reference, and of expiring, who does expire."""
    expires = figure.peer != style.NEVER_EXPIRES or "stale" not in figure.case
    return expires and figure.peer not in style.REFERENCES


def cell(figure: Figure, best: str) -> str:
    text = wording.spread(figure.spread, figure.unit)
    return text.replace(best, f"**{best}**", 1) if median(figure) == best else text


def median(figure: Figure) -> str:
    return wording.figure(figure.spread.median, figure.unit)


def machine(results: Results) -> str:
    """What the figures were measured on, and how."""
    if not results:
        return NO_RESULTS
    scenarios = list(results.values())
    facts = [
        ["machine", told_by(scenarios, {scenario.name: wording.machine(scenario) for scenario in scenarios})],
        ["versions", told_by(scenarios, {scenario.name: wording.versions(scenario) for scenario in scenarios})],
    ]
    runs = [[s.name, s.date, s.commit, f"`{s.command}`"] for s in scenarios]
    return (
        markdown(["", ""], facts, left=2) + "\n\n" + markdown(["scenario", "date", "commit", "command"], runs, left=4)
    )


def told_by(scenarios: Sequence[Scenario], told: Mapping[str, str]) -> str:
    """What all scenarios tell, once; or, where they differ, who tells what."""
    by_text: dict[str, list[str]] = {}
    for scenario in scenarios:
        by_text.setdefault(told[scenario.name], []).append(scenario.name)
    if len(by_text) == 1:
        return next(iter(by_text))
    return "<br>".join(f"{text} ({', '.join(names)})" for text, names in by_text.items())


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> str:
    """A table whose first columns stand to the left, and figures to the right."""
    rule = ["---"] * left + ["---:"] * (len(head) - left)
    lines = [head, rule, *([text.replace("|", "\\|") for text in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
