"""The outside world of this example: a web server with some pictures, slow, and counting."""

import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread


class Origin(ThreadingHTTPServer):
    """Serves a folder's files on a free port, each after a delay. Use it in a `with`."""

    request_queue_size = 100  # connections that may wait to be accepted

    def __init__(self, folder: Path, delay: float) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = {f"/{file.name}": file.read_bytes() for file in sorted(folder.glob("*.png"))}
        self.delay = delay
        self.requests: Counter[str] = Counter()
        self.counting = Lock()
        self.url = f"http://127.0.0.1:{self.server_port}"

    def __enter__(self) -> "Origin":
        Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    server: Origin

    def do_GET(self) -> None:
        with self.server.counting:
            self.server.requests[self.path] += 1
        time.sleep(self.server.delay)  # a slow disk, a long way, a busy server
        body = self.server.files.get(self.path)
        if body is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", "image/png")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass  # the counts say enough
