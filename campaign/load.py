"""A mixed load: short and long, failing, keyed and asked for twice, with large results, for later."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

from agent.clock import Clock
from agent.store.connection import Connection
from agent.store.locks import WriteLock, run_directory
from agent.store.migrations import APPLICATION_ID, steps
from agent.store.sqlite import SqliteStore
from agent.task import NewTask
from campaign.world import World

LONG_S = 0.06  # beyond what the supervisor waits before it writes a start, and takes back what stands behind


def ask(world: World, rng: random.Random, from_inside: bool = True) -> None:
    """Some twenty tasks of every kind; `from_inside`: with some whose handlers ask for others."""
    world.enqueue("nap", [{"s": rng.choice([0, 0.001, 0.005, 0.02])} for _ in range(12)])
    world.enqueue("nap", [{"s": LONG_S}] * 2, priority=rng.choice([0, 1]))
    world.enqueue("nap", [{"s": 0.001}] * 2, delay=rng.uniform(0.05, 0.3))
    world.enqueue("fails", [{"times": rng.choice([1, 2])} for _ in range(2)])
    world.enqueue("hopeless", [{}])
    world.enqueue("large", [{"bytes": rng.choice([1000, 200_000])} for _ in range(2)])
    for _ in range(2):
        ask_twice(world, f"{rng.getrandbits(64):x}")
    if from_inside:
        for key in (f"{rng.getrandbits(64):x}" for _ in range(3)):
            (inner,) = world.asked.number("nap", [{"s": 0.002}])
            (id_,) = world.enqueue("asks", [{"task": inner, "key": key}])
            world.asked.inside[id_] = key, inner


def hear_handlers(world: World) -> Iterator[str]:
    """At rest: what a handler asked for before it succeeded was acknowledged; complaints if it is not there."""
    for id_, (key, payload) in world.asked.inside.items():
        query = "SELECT state, (SELECT task FROM key WHERE key = ?) FROM tasks WHERE id = ?"
        state, inner = world.rows(query, key, id_)[0]
        if inner is not None:
            world.asked.acknowledged([inner], [payload], key)
        elif state == "succeeded":
            yield f"lost: task {id_} succeeded, and what its handler asked for under key {key} is not in the store"


def ask_twice(world: World, key: str) -> None:
    """The same request under one key, two times: one task."""
    (payload,) = numbered = world.asked.number("nap", [{"s": 0.002}])
    for _ in range(2):
        id_ = world.client.enqueue("nap", payload, idempotency_key=key)
        world.asked.acknowledged([id_], numbered, key)


def make_older(world: World) -> None:
    """The database as the first version of the schema had it, with tasks in it: none but a supervisor opens it now."""
    connection = Connection(world.database, WriteLock.of(run_directory(world.database)))
    with connection.writing() as cursor:
        cursor.execute(steps()[0])
        cursor.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        cursor.execute("PRAGMA user_version = 1")
    connection.close()
    payloads = world.asked.number("nap", [{"s": 0.001}] * 20)
    store = SqliteStore(world.database)
    asked = store.tasks.enqueue([NewTask("nap", json.dumps(payload)) for payload in payloads], Clock().now())
    store.close()
    world.asked.acknowledged([each.id for each in asked], payloads)
