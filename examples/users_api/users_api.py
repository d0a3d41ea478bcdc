"""The outside world of this example: somebody else's users API, slow, and counting."""

import json
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread

USERS = {
    "/users/1": {"id": 1, "name": "Ada Lovelace", "city": "London"},
    "/users/2": {"id": 2, "name": "Emmy Noether", "city": "Erlangen"},
    "/users/3": {"id": 3, "name": "Grace Hopper", "city": "New York"},
}


class UsersApi(ThreadingHTTPServer):
    """Answers on a free port, each time after a delay. Use it in a `with`."""

    def __init__(self, delay: float) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.delay = delay
        self.requests: Counter[str] = Counter()
        self.counting = Lock()
        self.url = f"http://127.0.0.1:{self.server_port}"

    def __enter__(self) -> "UsersApi":
        Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    server: UsersApi

    def do_GET(self) -> None:
        with self.server.counting:
            self.server.requests[self.path] += 1
        time.sleep(self.server.delay)  # a slow database, an ocean, a rate limit
        user = USERS.get(self.path)
        if user is None:
            self.send_error(404)
            return
        body = json.dumps(user).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass  # the counts say enough
