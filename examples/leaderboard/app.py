"""A FastAPI app with an expensive function: one request computes, for all processes.

`uvicorn --workers 2 app:app` runs it.
"""

import asyncio
import json
import logging
import os
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, time, timedelta
from typing import Annotated, Any

import redis.asyncio as redis
from fastapi import FastAPI, HTTPException, Path, Request, Response
from fastapi.responses import JSONResponse

DAY = 24 * 60 * 60
LEASE = 30  # seconds that a computation may take; then whoever has waited longest has a go
TIMEOUT = 20  # seconds that a request of ours waits for the computation of another

cache = redis.Redis.from_url(
    os.environ.get("REDIS_URL", "redis://127.0.0.1:6379"),
    socket_timeout=TIMEOUT + 1,  # Redis answers by then, so silence means that it is gone
    max_connections=1000,  # a request that waits holds one; whoever computes needs one to fill
)

app = FastAPI()
log = logging.getLogger("uvicorn.error")


async def memoized(
    key: str, compute: Callable[[], Awaitable[bytes]], end: datetime | None
) -> bytes:
    """What `compute` has made for this key, in whatever process; kept for a day, or to its end."""
    match await cache.execute_command("CACHE.LEASE", key, TIMEOUT, "TTL", LEASE):
        case [b"value", body]:  # it was there, or we have waited for the one who computed it
            return body
        case [b"lease", token]:  # it is ours to compute, and the others wait for us
            pass
        case _:
            raise HTTPException(503, "this takes too long, try again later", {"Retry-After": "5"})
    try:
        body = await compute()
    except BaseException:  # a cancelled request, too, hands the lease to the next one who waits
        with suppress(redis.RedisError):
            await cache.execute_command("CACHE.RELEASE", key, token)
        raise
    try:
        async with cache.pipeline(transaction=True) as fill:
            fill.execute_command("CACHE.FILL", key, token, body, DAY)
            if end:  # without STALE it is a plain string, which obeys its key's time to live
                fill.expireat(key, end)
            await fill.execute()
    except redis.RedisError as error:
        # LEASELOST, if it took longer than LEASE or the key was deleted meanwhile. For this
        # request the result is as good as ever.
        log.warning("%s is not stored: %s", key, error)
    return body


# A name becomes part of a key, so not just anything will do.
Username = Annotated[str, Path(pattern="^[a-z0-9]{1,32}$")]


@app.get("/leaderboard/{username}")
async def leaderboard(username: Username) -> Response:
    """The player's place of all time, a day old at most."""
    return await answer(f"leaderboard:{username}", POINTS, username, None)


@app.get("/today/{username}")
async def today(username: Username) -> Response:
    """The player's place of this day, which ends at midnight."""
    # Asked before we compute: if that takes us past midnight, the key is to end at once.
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    midnight = datetime.combine(tomorrow, time(), UTC)
    return await answer(f"today:{username}", POINTS_TODAY, username, midnight)


@app.get("/health")
async def health() -> int:
    return os.getpid()


async def answer(
    key: str, points: dict[str, int], username: str, end: datetime | None
) -> Response:
    async def compute() -> bytes:
        await cache.incr("leaderboard:computations")  # of all processes, for us to see
        # On a thread, since it keeps a processor busy: other requests are answered meanwhile.
        return json.dumps(await asyncio.to_thread(standing, points, username)).encode()

    body = await memoized(key, compute, end)
    return Response(body, media_type="application/json", headers={"X-Process": str(os.getpid())})


# The expensive function, and what it works on.

PLAYERS = 200_000


def season(seed: int, most: int) -> dict[str, int]:
    """Points by player, the same in each process."""
    dice = random.Random(seed)
    return {f"player{number}": dice.randrange(most) for number in range(PLAYERS)}


POINTS, POINTS_TODAY = season(1, 1_000_000), season(2, 1_000)


class NoSuchPlayer(LookupError):
    """An exception of the expensive function: it releases the lease, and nothing is cached."""


def standing(points: dict[str, int], username: str) -> dict[str, Any]:
    """The player's place among all, and who is just ahead and just behind."""
    if username not in points:
        raise NoSuchPlayer(username)
    ranking = sorted(points, key=lambda name: (-points[name], name))
    place = ranking.index(username)
    return {
        "username": username,
        "points": points[username],
        "place": place + 1,
        "of": len(ranking),
        "around": ranking[max(0, place - 2) : place + 3],
    }


@app.exception_handler(NoSuchPlayer)
async def no_such_player(request: Request, error: NoSuchPlayer) -> JSONResponse:
    return JSONResponse({"detail": "no such player"}, 404)


# Without Redis each request would compute: too much for this app, so it says so.
@app.exception_handler(redis.RedisError)
async def no_redis(request: Request, error: redis.RedisError) -> JSONResponse:
    return JSONResponse({"detail": "try again later"}, 503, {"Retry-After": "5"})
