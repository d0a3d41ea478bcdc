"""Asks a model through Redis for two flowers, one of them again and again.

    python examples/predictions/run.py

It needs a redis-server with the module at REDIS_URL.
"""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from client import BadFeatures, cache, predict

HERE = Path(__file__).resolve().parent

SMALL = {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}
LARGE = {"sepal_length": 5.9, "sepal_width": 3.0, "petal_length": 4.9, "petal_width": 1.8}
SMALL_TURNED = dict(reversed(SMALL.items()))
WRONG = {"sepal_length": 5.1}


@contextmanager
def model_server() -> Iterator[str]:
    """The model server, on a port that was free; its URL."""
    # The socket listens before the server does: who comes too early waits, and does not fail.
    with socket.create_server(("127.0.0.1", 0)) as listening:
        # As uvicorn does with a socket of its own: else answers may be held back for 40 ms.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        command = [sys.executable, "-m", "uvicorn", "--app-dir", str(HERE), "model_server:app"]
        command += ["--log-level", "warning", "--fd", str(listening.fileno())]
        process = subprocess.Popen(command, pass_fds=[listening.fileno()])
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            process.terminate()
            process.wait()


def show(what: str, url: str, features: dict[str, float], expiry: float) -> None:
    begun = time.perf_counter()
    try:
        prediction = predict(url, features, expiry)
        answer = f"{prediction['species']}, {prediction['probability']:.0%}"
    except BadFeatures:
        answer = "refused by the model server"
    took = (time.perf_counter() - begun) * 1000
    print(f"{what:34}{took:>8.1f} ms   {answer}")


def main() -> None:
    with model_server() as server, httpx.Client(base_url=server, timeout=60) as direct:
        direct.get("/predictions")  # answered as soon as the model is trained
        cache.ping()
        url = f"{server}/predict"
        print(f"A model at {url}, asked by CACHE.GET with METHOD POST and BODY.\n")
        show("A small flower", url, SMALL, expiry=60)
        show("the same", url, SMALL, expiry=60)
        show("the same, keys in another order", url, SMALL_TURNED, expiry=60)
        show("A large flower, kept for 600 s", url, LARGE, expiry=600)
        show("the same", url, LARGE, expiry=600)
        show("Half a flower", url, WRONG, expiry=60)
        print(f"\nThe model has predicted {direct.get('/predictions').json()} times.")

        print("\nEach prediction is an entry of its own, with a time to live of its own:")
        for key in sorted(cache.scan_iter(match=f"cache:variant:*:{{{url}}}")):
            _, _, digest, name = key.decode().split(":", 3)
            print(f"cache:variant:{digest[:8]}...:{name}   {cache.ttl(key)} s")


if __name__ == "__main__":
    main()
