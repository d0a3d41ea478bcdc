"""A web app as the benchmark's peer: what cache code in front of Redis does and costs, in Python.

    python clients.py cache-aside --redis 6379 --expiry 60 --timeout 5

It listens on a port of 127.0.0.1, prints `ready <port>`, and answers `GET <url>` with the body
that one strategy, named on the command line, comes up with. That is all it does: what is sent,
when, and whether the answers are right is the load generator's business, for all peers alike.

The strategies are wrapped in a server that speaks as much RESP2 as that takes, so that the same
load generator drives them and Redis itself, and compares replies byte for byte. Each connection
stands for one client of the web app: what it sends is answered in order, and connections do not
wait for each other. The wrapping costs little beside redis-py, and the same to each strategy;
`cache-get` is among them so that what Python costs can be told from what an algorithm costs.

All strategies use the URL, or what they make of it, as a key, and the module's entries are not
what a plain GET should read: give each strategy a database that was flushed.
"""

import argparse
import asyncio
import secrets
import signal
import ssl
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, cast

import hiredis
import httpx
import uvloop
from httpx_aiohttp import HttpxAiohttpClient
from redis.asyncio import Redis

PATIENCE = 60  # seconds for a download or a reply of Redis: longer than any of them takes
POLL = 0.05  # seconds between two looks at a key that another client is to fill
MANY = 10_000  # connections, to Redis as to the origins: never what a client waits for

# Deletes a lock if it is still the caller's, as https://redis.io/docs/latest/commands/set/ has it:
# a lock that has expired meanwhile may be another's by now.
RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then
    return redis.call('DEL', KEYS[1])
end
return 0
"""


# --- The strategies ---


@dataclass(frozen=True)
class App:
    """What a web app's handlers share."""

    redis: Any  # a Redis; its types know neither that replies are bytes nor chained pipelines
    http: httpx.AsyncClient
    expiry: int  # seconds that a body is good for
    timeout: float  # seconds that a client waits for another's download


async def cache_aside(app: App, url: str) -> bytes:
    """The pattern of every introduction to caching: look, and on a miss download and store.

    Nobody knows of anybody, so all who miss at once download at once.
    """
    body: bytes | None = await app.redis.get(url)
    return body if body is not None else await fill(app, url)


async def lock_and_poll(app: App, url: str) -> bytes:
    """Cache-aside with a lock in Redis, the usual remedy against a stampede.

    The lock is the one that the documentation of SET describes: NX, an expiry for the case that
    its holder dies, a random token, and compare-and-delete. Who does not get it looks again and
    again; who has done so for `timeout` is better served by a download of its own than by none.
    """
    body: bytes | None = await app.redis.get(url)
    if body is not None:
        return body
    lock, token = f"lock:{url}", secrets.token_hex(16)
    if await app.redis.set(lock, token, nx=True, px=PATIENCE * 1000):
        try:
            # A look again: the last holder may have come and gone between our GET and our SET.
            return await cache_aside(app, url)
        finally:
            await app.redis.eval(RELEASE, 1, lock, token)
    body = await poll(app, url)
    return body if body is not None else await fill(app, url)


async def poll(app: App, url: str) -> bytes | None:
    now = asyncio.get_running_loop().time
    deadline = now() + app.timeout
    while now() < deadline:
        await asyncio.sleep(POLL)
        body: bytes | None = await app.redis.get(url)
        if body is not None:
            return body
    return None


async def tutorial(app: App, url: str) -> bytes:
    """`cache_get(url, expiry, timeout)` of the RedGrease tutorial, this project's model.

    After examples/cache_get_command_faulty.py and docs/source/cache_get_faulty.rst of
    https://github.com/lyngon/redgrease (MIT), written anew. There it ran inside the server, as a
    function of RedisGears, which is discontinued; here its commands go over the connection, the
    same ones in the same order. Where nothing depends on a reply they share a round trip, since
    there they needed none.

    1. HEXISTS and HINCRBY in a transaction: is there data, and how many have asked before us?
    2. No data, and we are not the first: somebody downloads. BRPOP its status from a list, for
       `timeout` at most; if it is 200, LPUSH it back for the next who waits.
    3. HGET the data. If there still is none, whatever the status was: download, HSET the status,
       the time and, if it is 200, the data; LPUSH the status.
    4. EXPIRE both keys, on a hit too, and RPOPLPUSH the list onto itself. Answer with the data.

    The tutorial took it back when BRPOP turned out not to block inside RedisGears, and went on
    with plain cache-aside (EXISTS, GET; SET). Over a connection it does block. Its two slips are
    put right, or none but the first would ever be woken: the arguments of BRPOP and LPUSH, and
    that BRPOP answers with the list's name beside the status.
    """
    value, status = f"cache:{{{url}}}:result", f"cache:{{{url}}}:status"
    async with app.redis.pipeline(transaction=True) as atomic:
        cached, requests = await (
            atomic.hexists(value, "data").hincrby(value, "requests_count", 1).execute()
        )
    if not cached and requests > 1:
        popped = await app.redis.brpop([status], timeout=app.timeout)
        if popped is not None and popped[1] == b"200":
            await app.redis.lpush(status, popped[1])
    body: bytes | None = await app.redis.hget(value, "data")
    if body is None:
        body = await tutorial_download(app, url, value, status)
    async with app.redis.pipeline(transaction=False) as together:
        together.expire(status, app.expiry).expire(value, app.expiry)
        await together.rpoplpush(status, status).execute()
    if body is None:  # there an exception too: `bytes(None)`
        raise LookupError("the origin's status was not 200")
    return body


async def tutorial_download(app: App, url: str, value: str, status: str) -> bytes | None:
    response = await app.http.get(url)
    fields: dict[str, Any] = {
        "status_code": response.status_code,
        "timestamp": datetime.now(UTC).isoformat(),
    }
    body = response.content if response.status_code == 200 else None
    if body is not None:
        fields["data"] = body
    async with app.redis.pipeline(transaction=False) as together:
        together.hset(value, mapping=fields)
        await together.lpush(status, response.status_code).execute()
    return body


async def cache_get(app: App, url: str) -> bytes:
    """The module: one command, and no cache code at all."""
    body: bytes | None = await app.redis.execute_command("CACHE.GET", url, app.expiry, app.timeout)
    if body is None:
        raise TimeoutError(f"not within {app.timeout} s")
    return body


async def fill(app: App, url: str) -> bytes:
    response = await app.http.get(url)
    response.raise_for_status()
    await app.redis.set(url, response.content, ex=app.expiry)
    return response.content


STRATEGIES: dict[str, Callable[[App, str], Awaitable[bytes]]] = {
    "cache-aside": cache_aside,
    "lock-and-poll": lock_and_poll,
    "tutorial": tutorial,
    "cache-get": cache_get,
}


# --- The server around them ---

Answer = Callable[[str], Awaitable[bytes]]
Spawn = Callable[[Coroutine[Any, Any, None]], object]


class Client(asyncio.Protocol):
    """One client of the web app: its requests are answered one after another."""

    def __init__(self, answer: Answer, spawn: Spawn) -> None:
        self.answer = answer
        self.spawn = spawn
        self.requests = hiredis.Reader()  # a request is written as a reply with many parts is
        self.busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.requests.feed(data)
        if not self.busy:
            self.busy = True
            self.spawn(self.serve())

    async def serve(self) -> None:
        try:
            # Who hangs up does not stop a download that others may be waiting for.
            while (request := self.requests.gets()) is not False:
                reply = await self.reply(request)
                if self.transport.is_closing():
                    return
                self.transport.writelines(reply)
        except hiredis.ProtocolError as error:
            self.transport.writelines(failure(error))
            self.transport.close()
        self.busy = False

    async def reply(self, request: object) -> list[bytes]:
        match request:
            case [bytes(name), bytes(url)] if name.upper() == b"GET":
                try:
                    body = await self.answer(url.decode())
                except Exception as error:  # whatever it is, a client is waiting for an answer
                    return failure(error)
                return [b"$%d\r\n" % len(body), body, b"\r\n"]
        return failure(ValueError("the only command here is GET url"))


def failure(error: Exception) -> list[bytes]:
    line = f"-ERR {type(error).__name__} {error}".splitlines()[0]
    return [line.encode(), b"\r\n"]


async def serve(answer: Answer, port: int) -> None:
    """Serves until SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    tasks: set[asyncio.Task[None]] = set()

    def spawn(work: Coroutine[Any, Any, None]) -> None:
        tasks.add(task := loop.create_task(work))  # else it might be collected
        task.add_done_callback(tasks.discard)

    server = await loop.create_server(
        lambda: Client(answer, spawn), "127.0.0.1", port, backlog=MANY
    )
    print(f"ready {server.sockets[0].getsockname()[1]}", flush=True)
    await stopped.wait()
    server.close()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def main(options: argparse.Namespace) -> None:
    redis = Redis(
        port=options.redis,
        max_connections=MANY,  # a call that blocks keeps its connection, as BRPOP does
        socket_timeout=PATIENCE,
        socket_connect_timeout=PATIENCE,
    )
    # httpx over aiohttp's connections: in the pool that httpx brings along, a thousand requests at
    # once cost 20 s of computing, https://github.com/encode/httpcore/pull/1035. Over these, 0.5 s.
    http = HttpxAiohttpClient(
        limits=httpx.Limits(max_connections=MANY, max_keepalive_connections=MANY),
        timeout=PATIENCE,
        verify=ssl.create_default_context(cafile=options.ca_file),
        follow_redirects=True,
        trust_env=False,  # no proxy in between
    )
    async with redis, http:
        app = App(redis, http, options.expiry, options.timeout)
        await serve(partial(STRATEGIES[options.strategy], app), options.listen)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A web app with a cache, behind GET url in RESP2.")
    parser.add_argument("strategy", choices=STRATEGIES)
    parser.add_argument("--listen", type=int, default=0, metavar="PORT", help="0: any")
    parser.add_argument("--redis", type=int, default=6379, metavar="PORT")
    parser.add_argument("--expiry", type=int, default=60, metavar="SECONDS")
    parser.add_argument("--timeout", type=float, default=10, metavar="SECONDS")
    parser.add_argument("--ca-file", metavar="PATH", help="who to trust for https origins")
    return parser.parse_args()


if __name__ == "__main__":
    uvloop.run(main(parse_options()))
