"""Reads the results: a folder with a JSON file per scenario, as the benchmark writes them."""

import json
import math
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Value = int | float | str  # of a case: a size, a number of clients, a headline


class Unusable(Exception):
    """What was given cannot be used; says which file, and why."""


@dataclass(frozen=True)
class Spread:
    """What the rounds say of one figure."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, rounds: Iterable[float]) -> "Spread":
        values = list(rounds)
        return cls(statistics.median(values), min(values), max(values))

    def over(self, other: float) -> "Spread":
        return Spread(self.median / other, self.low / other, self.high / other)

    def at_least(self, floor: float) -> "Spread":
        return Spread(max(self.median, floor), max(self.low, floor), max(self.high, floor))


@dataclass(frozen=True)
class Figure:
    """One peer's figure in one case."""

    peer: str
    metric: str
    unit: str
    case: Mapping[str, Value]
    rounds: tuple[float, ...]

    @property
    def spread(self) -> Spread:
        return Spread.of(self.rounds)


@dataclass(frozen=True)
class Scenario:
    name: str
    date: str
    commit: str
    command: str
    machine: Mapping[str, Any]
    versions: Mapping[str, str]
    figures: tuple[Figure, ...]

    def pick(self, metric: str, **case: Value) -> list[Figure]:
        """The metric's figures whose cases have these values."""
        return [
            figure
            for figure in self.figures
            if figure.metric == metric and all(figure.case.get(key) == value for key, value in case.items())
        ]

    def values(self, key: str, metric: str, **case: Value) -> list[Any]:
        """What the cases of these figures have for the key, in order."""
        found = {figure.case[key] for figure in self.pick(metric, **case) if key in figure.case}
        return sorted(found, key=lambda value: (isinstance(value, str), value))

    def by_peer(self, metric: str, **case: Value) -> dict[str, Spread]:
        """The spread of each peer; where a peer has several such figures, of the first."""
        spreads: dict[str, Spread] = {}
        for figure in self.pick(metric, **case):
            spreads.setdefault(figure.peer, figure.spread)
        return spreads


Results = Mapping[str, Scenario]


def nearest(values: list[Any], wanted: float) -> Any:
    """The value that a chart was made for, or the nearest that was measured; None of none."""
    return min(values, key=lambda value: abs(math.log1p(value) - math.log1p(wanted)), default=None)


def read(folder: Path) -> Results:
    """The folder's scenarios by name."""
    if not folder.is_dir():
        raise Unusable(f"{folder} is no folder.")
    scenarios: dict[str, Scenario] = {}
    for file in sorted(folder.glob("*.json")):
        scenario = read_scenario(file)
        if scenario.name in scenarios:
            raise Unusable(f"{file}: another file has the results of {scenario.name!r} already.")
        scenarios[scenario.name] = scenario
    return scenarios


def read_scenario(file: Path) -> Scenario:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        figures = [read_figure(figure) for figure in content["figures"]]
        return Scenario(
            name=content["scenario"],
            date=content["date"],
            commit=content["commit"],
            command=content["command"],
            machine=content["machine"],
            versions=content["versions"],
            figures=tuple(figure for figure in figures if is_measured(figure)),
        )
    except KeyError as error:
        raise Unusable(f"{file}: {error} is missing.") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise Unusable(f"{file}: not as the benchmark writes it: {error}") from error


def is_measured(figure: Figure) -> bool:
    """Who failed in every round, or had nothing done by its end, has nothing to show; only of counts, 0 is a result."""
    return any(figure.rounds) if figure.unit else bool(figure.rounds)


def read_figure(content: Mapping[str, Any]) -> Figure:
    return Figure(
        peer=content["peer"],
        metric=content["metric"],
        # Requests are counted, also where there is a count for each URL, and so parts of one.
        unit="" if content["metric"] == "origin" else content["unit"],
        case=dict(content["case"]),
        rounds=tuple(float(value) for value in content["rounds"] if value is not None and math.isfinite(value)),
    )
