"""Asks a model for predictions through Redis, so that the same features are predicted once."""

import json
import os
from typing import Any

import redis

EXPIRY = 60  # seconds that a prediction is good for, unless the caller says otherwise
TIMEOUT = 5  # seconds that we wait for one

cache = redis.Redis.from_url(
    os.environ.get("REDIS_URL", "redis://127.0.0.1:6379"),
    socket_timeout=TIMEOUT + 1,  # Redis answers by then, so silence means that it is gone
)


class BadFeatures(ValueError):
    """The model server does not take these features."""


def canonical(features: dict[str, float]) -> str:
    """The same features are the same text, in whatever order they were put together.

    The body is part of what the entry is found by, byte for byte: another order of keys, or a
    blank, would be another entry and another prediction. Hence one type for all numbers, too: `5`
    and `5.0` are two texts.
    """
    numbers = {name: float(value) for name, value in features.items()}
    return json.dumps(numbers, sort_keys=True, separators=(",", ":"), allow_nan=False)


def predict(url: str, features: dict[str, float], expiry: float = EXPIRY) -> dict[str, Any]:
    """The prediction: from Redis, which asks the model only if it must, and then once for all."""
    call = ["CACHE.GET", url, expiry, TIMEOUT]
    call += ["METHOD", "POST", "BODY", canonical(features)]
    call += ["HEADER", "Content-Type", "application/json"]
    try:
        answer = cache.execute_command(*call)
    except redis.ResponseError as error:
        # 422 is what FastAPI says to a body that does not fit. Nothing is cached of a failure.
        if str(error).startswith("HTTPSTATUS 422"):
            raise BadFeatures(features) from error
        raise
    if answer is None:
        raise TimeoutError(f"no prediction within {TIMEOUT} s")
    return json.loads(answer)
