"""Asks a FastAPI app in two processes for rankings: alone, again, and fifty times at once.

    python examples/leaderboard/run.py

It needs a redis-server with the module at REDIS_URL.
"""

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import redis

HERE = Path(__file__).resolve().parent
PROCESSES = 2
STAMPEDE = 50

cache = redis.Redis.from_url(os.environ.get("REDIS_URL", "redis://127.0.0.1:6379"))


@contextmanager
def uvicorn() -> Iterator[str]:
    """The app in several processes, on a port that was free; its URL."""
    # The socket listens before uvicorn does: who comes too early waits, and does not fail.
    with socket.create_server(("127.0.0.1", 0), backlog=2 * STAMPEDE) as listening:
        # As uvicorn does with a socket of its own: else answers may be held back for 40 ms.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        command = [sys.executable, "-m", "uvicorn", "--app-dir", str(HERE), "app:app"]
        command += ["--workers", str(PROCESSES), "--log-level", "warning"]
        command += ["--fd", str(listening.fileno())]
        process = subprocess.Popen(command, pass_fds=[listening.fileno()])
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            process.terminate()
            process.wait()


class Caller:
    """Asks the app, and prints how it has answered."""

    def __init__(self, app: str) -> None:
        # No connection is kept: whichever process is idle takes the next one.
        limits = httpx.Limits(max_keepalive_connections=0)
        self.app = httpx.Client(base_url=app, timeout=60, limits=limits)

    def ask(self, path: str) -> tuple[str, str | None]:
        """A line on the answer; the process that gave it."""
        begun = time.perf_counter()
        response = self.app.get(path)
        took = (time.perf_counter() - begun) * 1000
        answer, process = response.json(), response.headers.get("X-Process")
        what = f"place {answer['place']}, process {process}" if process else answer["detail"]
        return f"GET {path:22}{response.status_code:>5}{took:>9.1f} ms   {what}", process

    def show(self, path: str) -> str | None:
        line, process = self.ask(path)
        print(line)
        return process

    def show_from_another(self, path: str, process: str | None) -> None:
        give_up = time.monotonic() + 30
        line, other = self.ask(path)
        while other == process and time.monotonic() < give_up:
            line, other = self.ask(path)
        print(line)

    async def show_stampede(self, path: str) -> None:
        before = computations()
        async with httpx.AsyncClient(base_url=self.app.base_url, timeout=60) as app:
            begun = time.perf_counter()
            responses = await asyncio.gather(*(app.get(path) for _ in range(STAMPEDE)))
            took = (time.perf_counter() - begun) * 1000
        answers = {(response.status_code, response.content) for response in responses}
        what = f"{len(answers)} answer for all, {computations() - before} computation"
        print(f"GET {path:22}{responses[0].status_code:>5}{took:>9.1f} ms   the last one; {what}")


def computations() -> int:
    """How many were begun, in all processes."""
    return int(cache.get("leaderboard:computations") or 0)


def main() -> None:
    for key in ("leaderboard:player7", "leaderboard:player8", "today:player7"):
        cache.execute_command("CACHE.DEL", key)  # an earlier run may have left it
    cache.delete("leaderboard:computations")

    with uvicorn() as app:
        httpx.get(f"{app}/health", timeout=60)  # answered as soon as the app is up
        caller = Caller(app)
        print(f"A FastAPI app in {PROCESSES} processes, with 200000 players to rank.\n")
        print("The first call, and the same again:")
        caller.show("/leaderboard/player7")
        process = caller.show("/leaderboard/player7")
        print("From another process:")
        caller.show_from_another("/leaderboard/player7", process)
        print(f"{STAMPEDE} calls at once for another player:")
        asyncio.run(caller.show_stampede("/leaderboard/player8"))
        print("The place of today, and the same again:")
        caller.show("/today/player7")
        caller.show("/today/player7")
        print("A player who does not exist, twice, since a failure is not cached:")
        caller.show("/leaderboard/nobody")
        caller.show("/leaderboard/nobody")

    end = datetime.fromtimestamp(cache.expiretime("today:player7"), UTC)
    print(f"\ncomputations, in all processes  {computations()}")
    print(f"leases that are still held      {cache.info('cache')['cache_leases_held']}")
    print(f"leaderboard:player7 expires in  {cache.ttl('leaderboard:player7')} s")
    print(f"today:player7 expires in        {cache.ttl('today:player7')} s, at {end:%H:%M:%S} UTC")


if __name__ == "__main__":
    main()
