"""Memoizes a function in Redis: one caller computes, and every process shares the result.

Arguments and results are JSON: pickle would run whatever others may write to a key. What is
raised is not cached. Without Redis every call computes. `async def` takes a redis.asyncio.Redis.
DANGER: what the function sees may be in a result that others are served. `vary` returns all that
it is to see, and that makes the key: `vary=lambda request, page: (request.language, page)`."""
import asyncio
import json
from contextlib import suppress
from functools import partial, update_wrapper
from hashlib import sha256
from inspect import BoundArguments, iscoroutinefunction, signature
from threading import Thread
from typing import Any, Callable

from redis.exceptions import RedisError

MISSING: Any = object()  # what `get` answers if nothing is cached; None is a result
SET = """redis.call('CACHE.DEL', KEYS[1])  -- what is being computed is not to overwrite it
   return redis.call('CACHE.FILL', KEYS[1], redis.call('CACHE.LEASE', KEYS[1])[2], unpack(ARGV))"""


def memoize(key_prefix: str, timeout: float, stale: float = 0, *, redis: Any, lease: float = 30,
            wait: float = 4, vary: Callable[..., tuple] | None = None) -> Callable[..., Any]:
    """`lease`: seconds to compute in; `wait`: for another; see socket_timeout, max_connections."""
    def decorate(function: Callable) -> Any:
        bind, is_async, tasks = signature(function).bind, iscoroutinefunction(function), set()
        life = [timeout, "STALE", stale] if stale else [timeout]

        async def ask(*words: Any) -> Any:
            reply = redis.execute_command(*words, NEVER_DECODE=True)
            return await reply if is_async else reply

        async def get(key: str, _: BoundArguments) -> Any:
            text = await ask("CACHE.PEEK", key, *life[1:])
            return MISSING if text is None else json.loads(text)

        async def call(key: str, bound: BoundArguments, reply: Any = None) -> Any:
            with suppress(RedisError):
                reply = reply or await ask("CACHE.LEASE", key, wait, "TTL", lease, "STALE")
            if reply and reply[0] != b"lease":  # a fresh value, or a stale one ...
                for token in reply[2:]:  # ... that this call is to renew
                    start(call(key, bound, [b"lease", token]))
                return json.loads(reply[1])
            end = ["CACHE.RELEASE", key, token := reply and reply[1]]  # None: `wait` has passed
            try:
                result = function(*bound.args, **bound.kwargs)
                text = json.dumps(await result if is_async else result)
                end = ["CACHE.FILL", key, token, text, *life]
                return json.loads(text)  # as it will come from the cache
            finally:
                with suppress(RedisError):  # LEASELOST: it took too long, or was deleted meanwhile
                    await ask(*end) if token else None

        def start(steps: Any) -> None:
            if not is_async:
                return Thread(target=run, args=[steps], daemon=True).start()
            tasks.add(task := asyncio.create_task(steps))  # else it might be collected
            task.add_done_callback(tasks.discard)

        def run(steps: Any) -> Any:
            try:  # a plain function's steps never wait: one `send` takes them all
                return steps if is_async else steps.send(None)
            except StopIteration as end:
                return end.value

        def method(steps: Callable, /, *args: Any, **kwargs: Any) -> Any:
            bound = bind(*vary(*args, **kwargs)) if vary else bind(*args, **kwargs)
            bound.apply_defaults()  # user("ada") and user(name="ada") are one call
            said = json.dumps(bound.arguments, sort_keys=True)
            return run(steps(f"{key_prefix}:{sha256(said.encode()).hexdigest()}", bound))

        memoized: Any = update_wrapper(partial(method, call), function)
        memoized.get = partial(method, get)
        memoized.delete = partial(method, lambda key, _: ask("CACHE.DEL", key))
        memoized.set = lambda value, /, *args, **kwargs: method(
            lambda key, _: ask("EVAL", SET, 1, key, json.dumps(value), *life), *args, **kwargs)
        return memoized
    return decorate
