"""All charts by their names. Each is made by a function, of what was measured, or not at all if nothing was."""

from collections.abc import Callable

from matplotlib.figure import Figure

from charts import growth, hit, memory, misses, neighbours, overview, stampede, storm
from results import Results

CHARTS: dict[str, Callable[[Results], Figure | None]] = {
    "overview": overview.overview,
    "hit-throughput": hit.throughput,
    "hit-latency": hit.latency,
    "hit-ratio": hit.ratio,
    "stampede": stampede.stampede,
    "stampede-origin": stampede.origin,
    "storm": storm.storm,
    "misses": misses.misses,
    "neighbours": neighbours.neighbours,
    "memory": memory.memory,
    "growth": growth.growth,
}
