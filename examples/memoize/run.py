"""Shows what a memoized function does, one property after the other.

    python examples/memoize/run.py

It needs a redis-server with the module at REDIS_URL. No step waits for a time to pass: functions
are held at a gate, and what others do meanwhile is asked of the server.
"""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event

import redis
import redis.asyncio
from memoize import MISSING, memoize
from redis.backoff import NoBackoff
from redis.retry import Retry

URL = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379")
# A call that waits holds a connection, and the one that computes needs one to store its result.
cache = redis.Redis.from_url(URL, max_connections=200)
RUN = f"memoize-example:{time.time_ns()}"  # begins the keys of this run; they expire by themselves
MOMENT = 0.05  # seconds that a result is fresh where we want to see it stale

computed: Counter[str] = Counter()  # how often each function has really run
gate = Event()  # what a function waits for that is to take long


def until(what: str, reached: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 10
    while not reached():
        assert time.monotonic() < give_up, f"there is still no sign of this: {what}"
        time.sleep(0.002)


def waiting(count: int) -> Callable[[], bool]:
    """Whether so many clients wait for what another one computes."""
    return lambda: cache.info("cache")["cache_waiters"] >= count


def is_stale(prefix: str) -> bool:
    """Whether the one result with this prefix is past its time: PEEK without STALE shows none."""
    [key] = set(cache.scan_iter(match=f"{prefix}:*"))
    return cache.execute_command("CACHE.PEEK", key) is None


def show(what: str, result: str) -> None:
    print(f"{what:42}{result}")


def times(name: str) -> str:
    words = {1: "once", 2: "twice"}
    return f"computed {words.get(computed[name], f'{computed[name]} times')}"


@memoize(f"{RUN}:square", timeout=60, redis=cache)
def square(number: int, power: int = 2) -> dict[str, int]:
    computed["square"] += 1
    gate.wait(10)
    return {"number": number, "result": number**power}


def stampede() -> None:
    print("Many callers, one computation")
    gate.clear()
    with ThreadPoolExecutor(20) as threads:
        results = [threads.submit(square, 12) for _ in range(20)]
        until("19 that wait", waiting(19))
        gate.set()
        assert all(each.result() == {"number": 12, "result": 144} for each in results)
    show("20 threads call square(12) at once", times("square"))
    square(12), square(number=12), square(12, power=2)
    show("again, and as square(number=12)", times("square"))


@memoize(f"{RUN}:weather", timeout=MOMENT, stale=60, redis=cache)
def weather(city: str) -> str:
    computed["weather"] += 1
    gate.wait(10)
    return f"report {computed['weather']}"


def stale() -> None:
    print("\nStale rather than slow")
    weather("Turin")
    until("a stale report", lambda: is_stale(f"{RUN}:weather"))
    gate.clear()  # from here on, whoever computes takes long
    reports = [weather("Turin") for _ in range(5)]
    until("the background thread", lambda: computed["weather"] == 2)
    show("5 calls find a stale report", f"{', '.join(set(reports))}, at once, for all of them")
    gate.set()
    until("the new report", lambda: weather.get("Turin") == "report 2")
    show("the one background thread is done", f"report 2, {times('weather')}")


@memoize(f"{RUN}:find", timeout=60, redis=cache)
def find(name: str) -> dict[str, str] | None:
    computed["find"] += 1
    return None


@memoize(f"{RUN}:quote", timeout=60, redis=cache)
def quote(stock: str) -> float:
    computed["quote"] += 1
    gate.wait(10)
    if computed["quote"] == 1:
        raise OSError("the exchange is closed")
    return 41.5


def none_and_errors() -> None:
    print("\nNone is a result, an exception is not")
    assert find.get("nobody") is MISSING
    find("nobody"), find("nobody")
    assert find.get("nobody") is None
    show("find('nobody') is None, and again", times("find"))

    gate.clear()
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(quote, "ACME")
        until("the first to compute", lambda: computed["quote"] == 1)
        second = threads.submit(quote, "ACME")
        until("the second to wait", waiting(1))
        gate.set()
        show("quote('ACME') raises", f"{first.exception()}, for its own caller")
        show("another call waited for it", f"{second.result()}, {times('quote')}")


@memoize(f"{RUN}:price", timeout=60, stale=60, redis=cache)
def price(item: str) -> int:
    computed["price"] += 1
    if item == "tea" and computed["price"] == 2:
        price.delete(item)  # somebody changes the price while we compute with the old one
    return computed["price"] * 100


def by_hand() -> None:
    print("\nBy hand")
    assert price.get("tea") is MISSING and price("tea") == 100 == price.get("tea")
    price.set(150, "tea")
    show("price.set(150, 'tea'), then price('tea')", f"{price('tea')}, {times('price')}")
    price.delete("tea")
    assert price.get("tea") is MISSING
    show("price.delete('tea') while it is computed", f"{price('tea')}, for its own caller")
    assert price.get("tea") is MISSING
    show("that was not stored: price('tea')", f"{price('tea')}, {times('price')}")


@dataclass
class Request:
    user: str
    cookie: str
    language: str


def what_counts(request: Request, day: str) -> tuple[str, str]:
    return request.language, day


@memoize(f"{RUN}:menu", timeout=60, redis=cache, vary=what_counts)
def menu(language: str, day: str) -> str:
    computed["menu"] += 1
    return "Suppe" if language == "de" else "soup"


def private_data() -> None:
    print("\nWhat is private stays out")
    ada = Request("Ada", "secret-1", "en")
    bob = Request("Bob", "secret-2", "en")
    eve = Request("Eve", "secret-3", "de")
    answers = [menu(request, "Monday") for request in (ada, bob, eve)]
    show("Ada, Bob and Eve ask for the menu", f"{', '.join(answers)}: {times('menu')}")
    stored = {key: cache.get(key) for key in cache.scan_iter(match=f"{RUN}:menu:*")}
    assert len(stored) == 2 and "secret" not in str(stored)
    show("their cookies", "in no key and no value")


async def in_asyncio() -> None:
    print("\nThe same for asyncio")
    client = redis.asyncio.Redis.from_url(URL)
    opened = asyncio.Event()

    @memoize(f"{RUN}:rates", timeout=MOMENT, stale=60, redis=client)
    async def rates(currency: str) -> str:
        computed["rates"] += 1
        await opened.wait()
        return f"rates {computed['rates']}"

    async def reached(what: str, condition: Callable[[], bool]) -> None:
        await asyncio.to_thread(until, what, condition)

    calls = [asyncio.create_task(rates("EUR")) for _ in range(20)]
    await reached("19 tasks that wait", waiting(19))
    opened.set()
    assert set(await asyncio.gather(*calls)) == {"rates 1"}
    show("20 tasks await rates('EUR') at once", times("rates"))

    await reached("stale rates", lambda: is_stale(f"{RUN}:rates"))
    opened.clear()
    found = {await rates("EUR") for _ in range(5)}
    await reached("the background task", lambda: computed["rates"] == 2)
    show("5 calls find stale ones", f"{', '.join(found)}, at once, for all of them")
    opened.set()
    while await rates.get("EUR") != "rates 2":
        await asyncio.sleep(0.002)
    show("the one background task is done", f"rates 2, {times('rates')}")
    await client.aclose()


def without_redis() -> None:
    print("\nWithout Redis")
    nowhere = redis.Redis(port=1, retry=Retry(NoBackoff(), 0))
    twice = memoize("twice", timeout=60, redis=nowhere)(lambda number: 2 * number)
    show("twice(21)", f"{twice(21)}, computed by each call")


def main() -> None:
    stampede()
    stale()
    none_and_errors()
    by_hand()
    private_data()
    asyncio.run(in_asyncio())
    without_redis()


if __name__ == "__main__":
    main()
