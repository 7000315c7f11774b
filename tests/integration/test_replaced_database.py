"""A database that is removed or replaced while it is served: everybody notices, nobody writes where nobody looks."""

from __future__ import annotations

import re
import shutil

import apsw
import pytest

from agent.errors import StoreError
from tests.integration.world import MakeWorld, World
from tests.support.processes import run_cli


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    world = make_world()
    world.enqueue("nap", {"s": 0})
    return world


@pytest.mark.parametrize("name", ["state.db", "state.db-wal", "state.db-shm"])
@pytest.mark.parametrize("is_replaced", [True, False])
def test_the_supervisor_ends_and_says_why(world: World, name: str, is_replaced: bool) -> None:
    agent = world.start()
    world.reach(1, "succeeded")
    (world.directory / name).rename(world.directory / "moved")
    if is_replaced:
        (world.directory / name).touch()

    assert agent.wait(20) == 69
    assert f"{name} was removed, renamed or replaced while it was in use" in agent.err
    assert "Traceback" not in agent.err


def test_who_finds_other_locks_does_not_go_on_beside_those_who_have_the_first(world: World) -> None:
    agent = world.start()
    world.reach(1, "succeeded")
    (world.directory / "state.db.run").rename(world.directory / "moved")

    world.start()

    assert agent.wait(20) == 69
    assert "write.lock was removed, renamed or replaced while it was in use" in agent.err
    with pytest.raises(StoreError, match=r"write\.lock was removed"):
        world.enqueue("nap", {"s": 0})
    done = run_cli("enqueue", "nap", '{"s": 0}', "--wait", cwd=world.directory)
    assert done.code == 0, done.err


def test_a_backup_that_is_copied_over_the_database_is_noticed_as_well(world: World) -> None:
    handle = apsw.Connection(str(world.directory / "state.db"))
    handle.execute("VACUUM INTO ?", (str(world.directory / "backup.db"),))
    handle.close()
    agent = world.start()
    world.reach(1, "succeeded")
    shutil.copyfile(world.directory / "backup.db", world.directory / "state.db")

    assert agent.wait(20) == 69
    told = r"state\.db (was removed, renamed or replaced while it was in use|is damaged .*: restore a backup)"
    assert re.search(told, agent.err), agent.err  # damaged: as long as the copy is on its way


def test_nothing_is_acknowledged_that_would_stand_in_a_lost_file(world: World) -> None:
    (world.directory / "state.db").rename(world.directory / "moved")

    with pytest.raises(StoreError, match="was removed, renamed or replaced while it was in use"):
        world.enqueue("nap", {"s": 0})


def test_once_the_file_is_back_everything_goes_on(world: World) -> None:
    agent = world.start()
    world.reach(1, "succeeded")
    for name in ("state.db", "state.db-wal", "state.db-shm"):
        (world.directory / name).rename(world.directory / f"kept{name}")
    assert agent.wait(20) == 69
    for name in ("state.db", "state.db-wal", "state.db-shm"):
        (world.directory / f"kept{name}").rename(world.directory / name)

    world.start()

    world.reach(world.enqueue("nap", {"s": 0}), "succeeded")
