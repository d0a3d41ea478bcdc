"""Three processes of a Flask app share what one of them has asked a slow API for.

    python examples/users_api/run.py

It needs a redis-server with the module at REDIS_URL.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
from users_api import UsersApi

HERE = Path(__file__).resolve().parent
DELAY = 0.5  # seconds that the API takes for each answer
PROCESSES = 3


@contextmanager
def gunicorn(users_api: str) -> Iterator[str]:
    """The app in several processes, on a port that was free; its URL."""
    # The socket listens before gunicorn does: who comes too early waits, and does not fail.
    with socket.create_server(("127.0.0.1", 0)) as listening:
        command = [sys.executable, "-m", "gunicorn", "--log-level", "warning"]
        command += ["--workers", str(PROCESSES), "--chdir", str(HERE)]
        command += ["--bind", f"fd://{listening.fileno()}", "app:app"]
        process = subprocess.Popen(
            command,
            env={**os.environ, "USERS_API": users_api},
            pass_fds=[listening.fileno()],
        )
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            process.terminate()
            process.wait()


def ask(app: httpx.Client, path: str) -> tuple[str, int | None]:
    """A line on how the app has answered; the process that did."""
    begun = time.perf_counter()
    response = app.get(path)
    took = (time.perf_counter() - begun) * 1000
    answer = response.json()
    process = answer.get("process")
    what = f"{answer['user']['name']}, process {process}" if process else answer["error"]
    return f"GET {path:14}{response.status_code:>5}{took:>9.1f} ms   {what}", process


def show(app: httpx.Client, path: str) -> int | None:
    line, process = ask(app, path)
    print(line)
    return process


def while_it_is_up(app: httpx.Client) -> None:
    print("The first call, and the same again:")
    show(app, "/get_user/1")
    first = show(app, "/get_user/1")

    print("From another process:")
    line, other = ask(app, "/get_user/1")
    give_up = time.monotonic() + 30
    while other == first and time.monotonic() < give_up:  # whichever is idle answers
        line, other = ask(app, "/get_user/1")
    print(line)

    print("Three calls at once for another user:")
    with ThreadPoolExecutor(3) as pool:
        for line, _ in pool.map(lambda path: ask(app, path), ["/get_user/2"] * 3):
            print(line)

    print("A user that the API does not know:")
    show(app, "/get_user/99")


def main() -> None:
    api = UsersApi(DELAY)
    with gunicorn(api.url) as url, httpx.Client(base_url=url, timeout=30) as app:
        app.get("/health")  # answered as soon as the app is up
        print(f"A Flask app in {PROCESSES} processes; its API takes {DELAY * 1000:.0f} ms.\n")
        with api:
            while_it_is_up(app)
        print("The API is down. A user that was asked for, and one that was not:")
        show(app, "/get_user/1")
        show(app, "/get_user/3")

    print("\nrequests that the API saw")
    for path, count in sorted(api.requests.items()):
        print(f"{path:14}{count}")


if __name__ == "__main__":
    main()
