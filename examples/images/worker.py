"""Downloads pictures through CACHE.GET, with redis-py.

    python worker.py FOLDER

Each line of standard input is a job: the URLs of some pictures. The worker
saves them in the folder and answers with a line that tells how long it took.
"""

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import redis

EXPIRY = 60  # seconds that a picture stays in Redis
TIMEOUT = 5  # seconds that we wait for one
CALLS_AT_ONCE = 4

# A call that waits for a download keeps its connection busy, as BLPOP does; so each thread's call
# takes a connection of its own from the client's pool. No `decode_responses`: pictures are bytes.
cache = redis.Redis.from_url(
    os.environ.get("REDIS_URL", "redis://127.0.0.1:6379"),
    socket_timeout=TIMEOUT + 1,  # Redis answers by then, so silence means that it is gone
)


def download(url: str) -> bytes:
    """The picture: from Redis, which asks the origin only if it must. No lock, no second look."""
    body = cache.execute_command("CACHE.GET", url, EXPIRY, TIMEOUT)
    if body is None:
        raise TimeoutError(f"no {url} within {TIMEOUT} s")
    return body


def save(url: str, folder: Path) -> None:
    (folder / url.rsplit("/", 1)[-1]).write_bytes(download(url))


def main(folder: Path) -> None:
    cache.ping()
    with ThreadPoolExecutor(CALLS_AT_ONCE) as pool:
        for line in sys.stdin:
            urls = line.split()
            begun = time.perf_counter()
            # `list` waits for all of them, and raises what one of them has raised.
            list(pool.map(lambda url: save(url, folder), urls))
            took = (time.perf_counter() - begun) * 1000
            print(f"{len(urls)} pictures in {took:.1f} ms", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
