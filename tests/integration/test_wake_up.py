"""Idle workers cost next to nothing, and know at once when there is work."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.integration.world import World, pass_time, switches
from tests.support.processes import CHECKOUT, family, run_cli
from tests.support.waiting import until
from workers.slot import BEAT, Slot

ENQUEUE = """
import sys
from enhanced_automation_agent import EnhancedAutomationAgent
agent = EnhancedAutomationAgent("config.yml")
for _ in range(int(sys.argv[1])):
    print(agent.enqueue("mark", {}))
"""
CALM = {"telemetry__sample_interval_s": 2, "governance__window_s": 10, "telemetry__log_interval_s": 10}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One agent with four workers that samples as rarely as by default."""
    world = World(tmp_path_factory.mktemp("wake"), bulk__max_concurrent=4, **CALM)
    world.start()
    yield world
    world.close()


def test_a_task_from_another_process_begins_at_once(world: World) -> None:
    world.idle(4)
    waits = []
    for _ in range(20):
        asked = time.monotonic()
        task = world.enqueue("mark")
        waits.append(world.started(task).at - asked)
        world.idle(4)

    assert statistics.median(waits) < 0.1  # with nothing but the safety net's looks it were half a second


def test_a_task_from_the_command_line_is_picked_up_and_waited_for(world: World) -> None:
    done = run_cli("enqueue", "nap", '{"s": 0}', "--wait", "--json", cwd=world.directory)

    assert done.code == 0, done.err
    assert done.json["result"] == {"attempt": 1}


def test_as_many_workers_wake_as_there_is_work(world: World) -> None:
    world.idle(4)

    tasks = world.client.enqueue_many("gate", [{"gate": "woken"}] * 4)

    assert len({world.started(task).pid for task in tasks}) == 4
    world.open("woken")
    world.reach(tasks, "succeeded")


def test_a_task_that_comes_alone_wakes_one_worker_once(world: World) -> None:
    world.idle(4)
    slots = [Slot.open(path) for path in (world.directory / "state.db.run" / "slots").iterdir()]

    def exchanges() -> int:
        return sum(slot.words[BEAT] for slot in slots)

    tasks, before = 20, exchanges()
    for _ in range(tasks):
        world.reach(world.enqueue("mark"), "succeeded")
        world.idle(4)

    assert exchanges() - before < 2.5 * tasks  # one claims it, one records it; now and then a look of the supervisor's
    for slot in slots:
        slot.close()


def test_tasks_that_two_processes_enqueue_one_by_one_all_run_once(world: World) -> None:
    before = len(world.effects())
    (world.directory / "program.py").write_text(ENQUEUE, "utf-8")
    command = [sys.executable, "program.py", "400"]
    environment = {"PYTHONPATH": str(CHECKOUT), "PATH": "/usr/bin:/bin"}
    programs = [
        subprocess.Popen(command, cwd=world.directory, env=environment, stdout=subprocess.PIPE) for _ in range(2)
    ]
    tasks = [int(line) for program in programs for line in program.communicate(timeout=50)[0].split()]
    assert len(set(tasks)) == 800

    world.reach(tasks, "succeeded")

    starts = Counter(effect.task for effect in world.effects()[before:] if effect.word == "start")
    assert starts == dict.fromkeys(tasks, 1)


def test_an_idle_agent_hardly_wakes_up(world: World) -> None:
    world.idle(4)
    until(lambda: world.client.stats()["states"]["queued"] == 0, what="nothing to be queued")
    agent = world.agents[0].pid
    everybody = {agent, *family(agent)}
    assert len(everybody) == 6
    pass_time(0.3)

    before, began = switches(everybody), time.monotonic()
    pass_time(2)
    rate = (switches(everybody) - before) / (time.monotonic() - began)

    assert rate < 5
