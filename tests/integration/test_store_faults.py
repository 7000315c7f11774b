"""A disk that refuses, a foreign lock, a damaged page: told while it lasts, and work goes on when it is over."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.errors import StoreLocked
from tests.integration.world import MakeWorld, World
from tests.support.processes import Agent
from tests.support.waiting import until

PAGE = 4096
HOLD = """
import sys, apsw
handle = apsw.Connection(sys.argv[1])
handle.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    world = make_world()
    world.enqueue("nap", {"s": 0})
    return world


def degraded(world: World, why: str) -> dict[str, str]:
    """What `stats` says of it, once it says why."""

    def said() -> dict[str, str] | None:
        found: dict[str, str] | None = world.client.stats()["degraded"]
        return found if found and why in found["why"] else None

    return until(said, timeout=30, what=f"stats to say {why!r}, not {world.client.stats()['degraded']}") or {}


def healthy(world: World) -> None:
    until(lambda: world.client.stats()["degraded"] is None, timeout=30, what="stats to say that all is well")


def let_write(pid: int, most_bytes: int) -> None:
    """How large a file the process may write: with 0, every write of it fails as on a broken disk."""
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (most_bytes, resource.RLIM_INFINITY))


def title(agent: Agent) -> str:
    return Path(f"/proc/{agent.pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


def test_a_disk_that_refuses_is_told_of_while_it_lasts_and_in_the_log_when_it_is_over(world: World) -> None:
    agent = world.start()
    world.reach(1, "succeeded")
    before = title(agent)
    let_write(agent.pid, 0)

    said = degraded(world, "state.db: disk I/O error: check the disk and the permissions")
    assert title(agent).startswith(f"sanaagent: supervisor, degraded since {said['since']} ")
    task = world.enqueue("nap", {"s": 0})
    let_write(agent.pid, resource.RLIM_INFINITY)
    healthy(world)

    world.reach(task, "succeeded")
    assert title(agent).strip() == before.strip()
    assert agent.process.poll() is None
    recovered = until(lambda: told(world, "store.recovered"), what="the log to say that it is over")
    assert [(each["since"], each["error"]) for each in recovered] == [(said["since"], said["why"])]


def told(world: World, name: str) -> list[dict[str, Any]]:
    """Events of the supervisor itself, not of its chores."""
    return [event for event in world.events(name) if "chore" not in event]


def test_a_foreign_process_that_writes_for_long_is_named_and_holds_up_writes_alone(world: World) -> None:
    agent = world.start()
    world.reach(1, "succeeded")
    command = [sys.executable, "-c", HOLD, str(world.directory / "state.db")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == b"held\n"

        degraded(world, f"process {holder.pid} (python")
        assert world.state(1) == "succeeded", "others read"
        with pytest.raises(StoreLocked, match=rf"process {holder.pid} \(python.*\) holds .*state\.db"):
            world.enqueue("nap", {"s": 0})
        holder.communicate()
    healthy(world)

    world.reach(world.enqueue("nap", {"s": 0}), "succeeded")
    assert agent.process.poll() is None
    assert [len(told(world, name)) for name in ("store.degraded", "store.recovered")] == [1, 1]


def spoil_text(content: bytes) -> bytes:
    return content.replace(b"damaged", b"\xff" * 7)


def spoil_pages(content: bytes) -> bytes:
    pages = [content[at : at + PAGE] for at in range(0, len(content), PAGE)]
    return b"".join(b"\xff" * PAGE if b"damageddamaged" in page else page for page in pages)


@pytest.mark.parametrize("spoil", [spoil_text, spoil_pages])
def test_damaged_pages_end_the_supervisor_with_a_clear_message(
    world: World, spoil: Callable[[bytes], bytes]
) -> None:
    for _ in range(10):
        world.enqueue("nap", {"s": 0, "filler": "damaged" * 1000})
    world.client.close()
    path = world.directory / "state.db"
    path.write_bytes(spoil(path.read_bytes()))

    agent = world.start(ready=0)

    assert agent.wait(30) == 69
    assert "state.db is damaged" in agent.err
    assert "restore a backup" in agent.err
