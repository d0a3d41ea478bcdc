"""Three workers in three languages want the same pictures at once; each is downloaded once.

    python examples/images/run.py

It needs a redis-server with the module at REDIS_URL. IMAGES_WORKER names the
Rust worker's program; without it, cargo builds and runs it.
"""

import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from origin import Origin

HERE = Path(__file__).resolve().parent
PICTURES = HERE.parent.parent / "scripts" / "demo.d" / "pictures"
DELAY = 0.2  # seconds that the origin takes for each picture
CARGO = ["cargo", "run", "--quiet", "--manifest-path", str(HERE.parent.parent / "Cargo.toml")]


class Worker:
    """A worker's process. It takes a line of URLs and answers with a line that tells the time."""

    def __init__(self, name: str, command: list[str], folder: Path) -> None:
        self.name = name
        self.folder = folder / name
        self.folder.mkdir()
        self.process = subprocess.Popen(
            [*command, str(self.folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def give(self, urls: list[str]) -> None:
        self.process.stdin.write(" ".join(urls) + "\n")
        self.process.stdin.flush()

    def answer(self) -> str:
        """The time it took: `12.3 ms`."""
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{self.name}: the worker has failed")
        return line.strip().split(" in ")[1]

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *exception: object) -> None:
        self.process.__exit__(*exception)  # closes its input, so it ends, and waits for that


def commands() -> dict[str, list[str]]:
    rust = os.environ.get("IMAGES_WORKER")
    return {
        "redis-py": [sys.executable, str(HERE / "worker.py")],
        "node-redis": ["node", str(HERE / "worker.mjs")],
        "redis-rs": [rust] if rust else [*CARGO, "--example", "images_worker", "--"],
    }


def main() -> None:
    with ExitStack() as stack:
        origin = stack.enter_context(Origin(PICTURES, DELAY))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        workers = [
            stack.enter_context(Worker(name, command, folder))
            for name, command in commands().items()
        ]
        urls = [origin.url + path for path in origin.files]
        all_at_once(workers, [])  # a job without pictures: who answers is up and connected

        print(f"Three workers want the same {len(urls)} pictures at once, each four at a time.")
        print(f"The origin, {origin.url}, takes {DELAY * 1000:.0f} ms for each.")
        cold, warm = all_at_once(workers, urls), all_at_once(workers, urls)
        print(f"\n{'client':12}{'cold':>12}{'warm':>12}")
        for worker, first, second in zip(workers, cold, warm, strict=True):
            print(f"{worker.name:12}{first:>12}{second:>12}")

        print(f"\n{'picture':20}requests at the origin")
        for path in origin.files:
            print(f"{path[1:]:20}{origin.requests[path]}")
        for worker in workers:
            for path, body in origin.files.items():
                assert (worker.folder / path[1:]).read_bytes() == body, (worker.name, path)
        print("\nAll pictures of all workers are, byte for byte, the origin's.")


def all_at_once(workers: list[Worker], urls: list[str]) -> list[str]:
    """Gives the same job to each worker before any has answered; the times they took."""
    for worker in workers:
        worker.give(urls)
    return [worker.answer() for worker in workers]


if __name__ == "__main__":
    main()
