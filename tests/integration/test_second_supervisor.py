"""A database has one supervisor."""

from __future__ import annotations

from tests.integration.world import MakeWorld, kill
from tests.support.processes import run_cli


def test_the_second_supervisor_leaves_naming_the_first_by_whatever_path_it_came(make_world: MakeWorld) -> None:
    world = make_world()
    agent = world.start()
    task = world.enqueue("gate", {"gate": "open"})
    world.started(task)

    (world.directory / "link.db").symlink_to(world.directory / "state.db")
    second = run_cli("resume", cwd=world.directory)
    third = run_cli("resume", cwd=world.directory, env={"SANAAGENT_PERSISTENCE_DB_PATH": "link.db"})

    assert (second.code, third.code) == (75, 75)
    assert str(agent.pid) in second.err
    assert str(agent.pid) in third.err
    assert "Traceback" not in second.err + third.err
    world.open("open")
    world.reach(task, "succeeded")
    assert len(world.starts(task)) == 1


def test_a_killed_supervisor_leaves_no_lock(make_world: MakeWorld) -> None:
    world = make_world()
    agent = world.start()
    assert world.client.stats()["supervisor_pid"] == agent.pid

    kill(agent.pid)
    agent.wait()

    assert world.client.stats()["supervisor_pid"] is None
    world.start()
