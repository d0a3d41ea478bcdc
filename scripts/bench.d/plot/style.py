"""How all charts look: their colours and letters, and who is drawn how."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import matplotlib

INK, SOFT, FAINT = "#222222", "#5f5f5f", "#d9d9d9"
HIGHLIGHT = "#fdf1e7"  # behind our row


@dataclass(frozen=True)
class Look:
    label: str
    colour: str
    marker: str


# In the order in which they are shown: servers first, then what Python clients do. The colours are Okabe and Ito's and
# three more: shades of orange are ours, greys are only a reference: a plain GET, and for a client that waits, a BLPOP.
LOOKS = {
    "CACHE.GET": Look("CACHE.GET", "#d55e00", "o"),
    "CACHE.GET STALE": Look("CACHE.GET STALE", "#e69f00", "D"),
    "nginx": Look("nginx", "#009e73", "s"),
    "Varnish": Look("Varnish", "#0072b2", "^"),
    "GET": Look("GET (reference)", "#8a8a8a", "|"),
    "GET, no expiry": Look("GET, no expiry (reference)", "#c2c2c2", "_"),
    "BLPOP": Look("BLPOP (reference)", "#b4b4b4", "_"),
    "cache-get via redis-py": Look("CACHE.GET (redis-py)", "#f0a882", "h"),
    "cache-aside": Look("cache-aside (Python)", "#56b4e9", "v"),
    "lock-and-poll": Look("lock-and-poll (Python)", "#cc79a7", "P"),
    "tutorial": Look("tutorial (Python)", "#3b3561", "X"),
}
OURS, OURS_STALE, GET, GET_FOR_EVER = "CACHE.GET", "CACHE.GET STALE", "GET", "GET, no expiry"
REFERENCES = {GET, GET_FOR_EVER, "BLPOP"}
# Each hit prolongs what it hits: what is asked for all the time is never fetched again, and nobody waits for it.
NEVER_EXPIRES = "tutorial"


def look(peer: str) -> Look:
    return LOOKS.get(peer, Look(peer, "#7a5230", "d"))


def in_order(peers: Iterable[str]) -> list[str]:
    known = list(LOOKS)
    return sorted(set(peers), key=lambda peer: (known.index(peer) if peer in LOOKS else len(known), peer))


def set_up() -> None:
    """Makes drawings depend on the results alone: not on the reader's settings, fonts or the day."""
    matplotlib.rcdefaults()
    matplotlib.rcParams.update(
        {
            "svg.hashsalt": "cache-get",
            "font.family": "DejaVu Sans",  # comes with matplotlib, so it is the same everywhere
            "font.size": 8.5,
            "text.color": INK,
            "axes.edgecolor": SOFT,
            "axes.labelcolor": SOFT,
            "axes.linewidth": 0.8,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlesize": 9.5,
            "axes.titleweight": "bold",
            "axes.axisbelow": True,
            "grid.color": "#e6e6e6",
            "grid.linewidth": 0.8,
            "xtick.color": SOFT,
            "ytick.color": SOFT,
            "xtick.labelsize": 8,
            "ytick.labelsize": 8,
            "xtick.major.size": 3,
            "ytick.major.size": 3,
            "legend.frameon": False,
            "legend.fontsize": 8.5,
        }
    )


def line_style(peer: str) -> Any:
    return (0, (4, 2)) if peer in REFERENCES else "-"


def line_width(peer: str) -> float:
    return 2.4 if peer == OURS else 1.5


def layer(peer: str) -> float:
    """Ours above all, references below all."""
    return 5.0 if peer == OURS else 2.0 if peer in REFERENCES else 3.0


def weight(peer: str) -> str:
    return "bold" if peer == OURS else "normal"
