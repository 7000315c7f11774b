"""Workers are replaced by count and by memory; each begins with the start hooks."""

from __future__ import annotations

from collections import Counter

from tests.integration.world import MakeWorld, pass_time
from tests.support.waiting import until

HOOK = """
import os
from pathlib import Path
from enhanced_automation_agent import EnhancedAutomationAgent

agent = EnhancedAutomationAgent()
here = Path(__file__).resolve().parent

@agent.worker_start
def connect():
    with open(here / "hooks", "a") as file:
        file.write(f"{os.getpid()}\\n")
    if (here / "broken").exists():
        raise RuntimeError("the socket is not there")
"""


def test_a_worker_that_has_run_its_share_is_replaced(make_world: MakeWorld) -> None:
    world = make_world(bulk__max_concurrent=1, bulk__max_tasks_per_worker=10)
    world.start()
    tasks = [world.enqueue("mark") for _ in range(35)]

    world.reach(tasks, "succeeded")

    by_worker = Counter(world.starts(task)[0].pid for task in tasks)
    assert [len(world.starts(task)) for task in tasks] == [1] * 35
    assert sorted(by_worker.values()) == [5, 10, 10, 10]
    until(lambda: len(world.workers()) == 1, what="one worker")
    assert {event["status"] for event in world.events("worker.exited")} == {0}


def test_a_worker_that_holds_too_much_memory_is_replaced_after_its_task(make_world: MakeWorld) -> None:
    world = make_world(bulk__max_concurrent=1, bulk__max_worker_rss_mb=150)
    world.start()
    hoarder = world.enqueue("hoard", {"megabytes": 200})
    world.reach(hoarder, "succeeded")
    pid = world.starts(hoarder)[0].pid

    world.event("worker.recycled", pid=pid)
    until(lambda: pid not in world.workers(), what="the worker to leave")

    after = world.enqueue("mark")
    world.reach(after, "succeeded")
    assert world.starts(after)[0].pid != pid
    assert world.events("task.lost") == []


def test_the_start_hook_runs_once_in_each_worker_before_its_first_task(make_world: MakeWorld) -> None:
    world = make_world(bulk__max_concurrent=3)
    (world.directory / "hooks.py").write_text(HOOK, "utf-8")
    world.configure(handlers=["hooks.py"])
    world.start()

    tasks = [world.enqueue("gate", {"gate": "open"}) for _ in range(3)]
    pids = {world.started(task).pid for task in tasks}
    world.open("open")
    world.reach(tasks, "succeeded")

    assert Counter((world.directory / "hooks").read_text("ascii").split()) == {str(pid): 1 for pid in pids}


def test_a_start_hook_that_fails_storms_no_machine_and_recovers(make_world: MakeWorld) -> None:
    world = make_world(bulk__max_concurrent=2)
    (world.directory / "hooks.py").write_text(HOOK, "utf-8")
    world.configure(handlers=["hooks.py"])
    (world.directory / "broken").touch()
    agent = world.start(ready=0)
    task = world.enqueue("mark")
    until(lambda: "the socket is not there" in agent.err, what="the hook's error to be shown")

    pass_time(1)
    born = len((world.directory / "hooks").read_text("ascii").split())
    (world.directory / "broken").unlink()
    world.reach(task, "succeeded", timeout=10)

    assert 2 <= born <= 14
    world.agents.remove(agent)  # its stderr shows the hook's traceback, as it should
    agent.kill_everything()
