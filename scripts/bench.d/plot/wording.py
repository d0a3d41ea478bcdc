"""Writes figures, sizes and cases as people read them, alike in charts and tables."""

import math
from collections.abc import Iterable
from typing import Any

from results import Scenario, Spread, Value

# Of bodies, which are powers of two; what was measured in bytes is not.
SIZES = [(1024**3, " GiB"), (1024**2, " MiB"), (1024, " KiB"), (1, " B")]

# A unit's steps, each with how many of the unit it is and what is written behind the number.
TIMES = [(1e-6, " µs"), (1e-3, " ms"), (1.0, " s")]
LADDERS: dict[str, list[tuple[float, str]]] = {
    "us": [(step * 1e6, name) for step, name in TIMES],
    "µs": [(step * 1e6, name) for step, name in TIMES],
    "ms": [(step * 1e3, name) for step, name in TIMES],
    "s": TIMES,
    "/s": [(1, "/s"), (1e3, "k/s"), (1e6, "M/s")],
    "B": [(1, " B"), (1e3, " KB"), (1e6, " MB"), (1e9, " GB")],
    "KiB": [(1, " KiB"), (1024, " MiB"), (1024**2, " GiB")],
    "MiB": [(1, " MiB"), (1024, " GiB")],
    "x": [(1, "x")],
    "": [(1, "")],
}


def figure(value: float, unit: str) -> str:
    """As in `145k/s`."""
    size, name = step(value, unit)
    return number(value / size, unit) + name


def tick(value: float, unit: str) -> str:
    """As in `0.1 ms`."""
    size, name = step(value, unit)
    return f"{value / size:g}{name}"


def spread(values: Spread, unit: str) -> str:
    """As in `145k/s (141k-150k)`: all three in the median's step, so that they compare at a glance."""
    size, name = step(values.median, unit)
    letter = name.removesuffix("/s") if unit == "/s" else ""
    low, high = (number(value / size, unit) + letter for value in (values.low, values.high))
    median = figure(values.median, unit)
    return median if low == high else f"{median} ({low}-{high})"


def step(value: float, unit: str) -> tuple[float, str]:
    ladder = LADDERS.get(unit, [(1.0, f" {unit}")])
    value = float(f"{value:.3g}")  # 999.7 is written as 1,000 would be
    # Down to 0.1 ms a time stays in milliseconds: a row from 0.3 to 20 ms reads better in one unit.
    fitting = [(size, name) for size, name in ladder if value / size >= (0.1 if name == " ms" else 1)]
    return fitting[-1] if fitting else ladder[0]


def number(value: float, unit: str) -> str:
    """With three digits, or as many as it has before the point; counts that are whole as they are."""
    # Of memory two are enough to compare by: `3.3 KB`, `56 KB`.
    digits = 2 if unit == "B" else 3
    rounded = float(f"{value:.{digits}g}")
    if value == 0 or abs(rounded) >= 10 ** (digits - 1) or (unit in ("", "B") and value == round(value)):
        return f"{value:,.0f}"
    return f"{value:.{digits - 1 - math.floor(math.log10(abs(rounded)))}f}"


def size(value: float) -> str:
    """As in `16 KiB`."""
    for bytes_, name in SIZES:
        if value >= bytes_:
            return f"{value / bytes_:g}{name}"
    return f"{value:g} B"


def count(value: float) -> str:
    return f"{value:,g}" if value < 1e6 else f"{value:,.0f}"


def case(key: str, value: Value | None) -> str:
    """A case's value in a table."""
    shown: Any = value
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if key == "size":
        return size(value)
    if key == "tls":
        return "https" if value else "http"
    if key == "stale":
        return "yes" if value else "no"
    if key == "origin_ms":
        return f"{count(shown)} ms"
    return count(shown)


# The keys of cases in the order of their columns, with what they are called above them.
KEYS = {
    "headline": "",
    "factor": "times as much",
    "during": "during",
    "size": "body",
    "entries": "entries",
    "urls": "URLs",
    "rate": "calls/s",
    "clients": "clients",
    "connections": "connections",
    "pipeline": "pipeline",
    "tls": "scheme",
    "origin_ms": "origin takes",
    "stale": "stale service",
}


def keys_in_order(keys: Iterable[str]) -> list[str]:
    known = list(KEYS)
    return sorted(set(keys), key=lambda key: (known.index(key) if key in KEYS else len(known), key))


def machine(source: Scenario) -> str:
    told = source.machine
    known = {"processor": "{}", "cores": "{} cores", "memory_gib": "{} GiB", "kernel": "{}"}
    return ", ".join(text.format(told[key]) for key, text in known.items() if key in told)


def versions(source: Scenario) -> str:
    return ", ".join(f"{name} {version}" for name, version in source.versions.items())
