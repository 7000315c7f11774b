"""A mixed load: short and long, failing, keyed and asked for twice, with large results, for later."""

from __future__ import annotations

import json
import random

from agent.clock import Clock
from agent.store.connection import Connection
from agent.store.locks import WriteLock, run_directory
from agent.store.migrations import APPLICATION_ID, steps
from agent.store.sqlite import SqliteStore
from agent.task import NewTask
from campaign.world import World

LONG_S = 0.06  # beyond what the supervisor waits before it writes a start, and takes back what stands behind


def ask(world: World, rng: random.Random) -> None:
    """Some twenty tasks of every kind."""
    world.enqueue("nap", [{"s": rng.choice([0, 0.001, 0.005, 0.02])} for _ in range(12)])
    world.enqueue("nap", [{"s": LONG_S}] * 2, priority=rng.choice([0, 1]))
    world.enqueue("nap", [{"s": 0.001}] * 2, delay=rng.uniform(0.05, 0.3))
    world.enqueue("fails", [{"times": rng.choice([1, 2])} for _ in range(2)])
    world.enqueue("hopeless", [{}])
    world.enqueue("large", [{"bytes": rng.choice([1000, 200_000])} for _ in range(2)])
    for _ in range(2):
        ask_twice(world, f"{rng.getrandbits(64):x}")


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
