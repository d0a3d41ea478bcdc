"""A Flask app in front of a slow API. All its processes, on all its machines, share one cache.

`USERS_API=https://users.example gunicorn --workers 3 app:app` runs it.
"""

import json
import os
from typing import Any

import redis
from flask import Flask, Response, jsonify

USERS_API = os.environ["USERS_API"]
EXPIRY = 60  # seconds that an answer of the API is good for
TIMEOUT = 5  # seconds that a request of ours waits for it

# One pool a process: connections are opened when they are first used, after gunicorn has forked.
cache = redis.Redis.from_url(
    os.environ.get("REDIS_URL", "redis://127.0.0.1:6379"),
    socket_timeout=TIMEOUT + 1,  # Redis answers by then, so silence means that it is gone
)

app = Flask(__name__)


class NotInTime(Exception):
    """There was no answer within our timeout. The download goes on: the next call may find it."""


def get_json(url: str) -> Any:
    """What the URL has: from Redis, which downloads it only if it must, and then once for all."""
    body = cache.execute_command("CACHE.GET", url, EXPIRY, TIMEOUT)
    if body is None:
        raise NotInTime(url)
    return json.loads(body)


# An `int`, so that nobody can write a path or a query into the URL that we ask for.
@app.get("/get_user/<int:uid>")
def get_user(uid: int) -> dict[str, Any]:
    return {"user": get_json(f"{USERS_API}/users/{uid}"), "process": os.getpid()}


@app.get("/health")
def health() -> dict[str, Any]:
    return {"process": os.getpid()}


# What went wrong behind us, in the words of HTTP. An error begins with its code, which is fixed;
# what follows is for people, and for the log.
@app.errorhandler(redis.ResponseError)
def on_error_reply(error: redis.ResponseError) -> tuple[Response, int]:
    code, _, reason = str(error).partition(" ")
    if code == "HTTPSTATUS" and reason.startswith("404"):
        return failure(404, "no such user")
    app.logger.warning("%s", error)
    if code == "FETCHTIMEOUT":
        return failure(504, "the users API takes too long")
    if code == "OVERLOADED":
        return failure(503, "too many downloads at once, try again later")
    if code in ("HTTPSTATUS", "FETCHFAILED", "TOOLARGE"):
        return failure(502, "the users API has failed")
    # Refused by the guard (FETCHDENIED), wrong arguments, no permission: for us to put right.
    return failure(500, "the service is not set up properly")


@app.errorhandler(NotInTime)
def on_not_in_time(error: NotInTime) -> tuple[Response, int]:
    return failure(504, "the users API takes too long")


@app.errorhandler(redis.ConnectionError)
@app.errorhandler(redis.TimeoutError)
def on_no_redis(error: redis.RedisError) -> tuple[Response, int]:
    app.logger.error("no Redis: %s", error)
    return failure(503, "try again later")


def failure(status: int, reason: str) -> tuple[Response, int]:
    return jsonify(error=reason), status
