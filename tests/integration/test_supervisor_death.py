"""Supervisor, fork server and workers die together; the next start puts right what was left, and loses nothing."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from agent.store.locks import WriteLock
from tests.integration.world import MakeWorld, World, gone_within, kill, pass_time
from tests.support.processes import CHECKOUT, family, is_alive, is_stopped, run_cli
from tests.support.waiting import until

SCRIPT = """
import sys, time
from enhanced_automation_agent import EnhancedAutomationAgent
agent = EnhancedAutomationAgent("config.yml")
agent.register_handler("long", lambda payload: time.sleep(600))
sys.exit(agent.resume())
"""


@pytest.mark.parametrize("together_with_fork_server", [False, True])
def test_workers_and_fork_server_die_with_the_supervisor_stopped_ones_included(
    make_world: MakeWorld, together_with_fork_server: bool
) -> None:
    world = make_world(bulk__max_concurrent=3)
    agent = world.start()
    running = world.started(world.enqueue("gate", {"gate": "open"}))
    stopped = next(pid for pid in world.workers() if pid != running.pid)
    kill(stopped, signal.SIGSTOP)
    until(lambda: is_stopped(stopped), what="a worker to stand still")
    left = family(agent.pid)
    assert len(left) == 4
    fork_server = world.fork_server(agent)

    kill(agent.pid)
    if together_with_fork_server:
        kill(fork_server)

    assert gone_within(left, 0.1) < 2
    agent.wait()


def test_a_restart_runs_again_what_ran_and_nothing_else(make_world: MakeWorld) -> None:
    world = make_world(bulk__max_concurrent=2)
    first = world.start()
    done = [world.enqueue("mark") for _ in range(10)]
    world.reach(done, "succeeded")
    running = [world.enqueue("gate", {"gate": "open"}) for _ in range(2)]
    waiting = [world.enqueue("gate", {"gate": "open"}) for _ in range(5)]
    for task in running:
        world.started(task)

    kill(first.pid)
    first.wait()
    second = world.start()
    for task in running:
        world.started(task, attempt=2)
    world.open("open")

    world.reach([*running, *waiting], "succeeded")
    assert [len(world.starts(task)) for task in done + running + waiting] == [1] * 10 + [2] * 2 + [1] * 5
    assert [world.outcomes(task) for task in running] == [["lost", "succeeded"]] * 2
    assert [world.client.inspect(task)["crashes"] for task in running] == [0, 0]
    assert second.stop() == 0


def test_a_handlers_processes_do_not_outlive_the_next_start(make_world: MakeWorld) -> None:
    world = make_world(bulk__max_concurrent=2)
    agent = world.start()
    tasks = [world.enqueue("parent"), world.enqueue("parent", {"own_group": True})]
    children = [world.child(task) for task in tasks]

    kill(agent.pid)
    agent.wait()
    world.client.pause()
    world.start()

    assert [pid for pid in children if is_alive(pid)] == []
    assert [world.state(task) for task in tasks] == ["queued", "queued"]


def test_a_handlers_process_dies_with_its_worker_while_the_agent_lives(make_world: MakeWorld) -> None:
    world = make_world(bulk__max_concurrent=1)
    world.start()
    task = world.enqueue("parent")
    child = world.child(task)

    kill(world.started(task).pid)

    gone_within([child], 1)
    world.started(task, attempt=2)


def test_a_lost_fork_server_takes_its_workers_along_and_is_followed_by_another(make_world: MakeWorld) -> None:
    world = make_world(bulk__max_concurrent=2)
    agent = world.start()
    task = world.enqueue("gate", {"gate": "open", "first": True})
    world.started(task)
    fork_server, workers = world.fork_server(agent), set(world.workers())

    kill(fork_server)
    assert gone_within(workers, 0.1) < 2

    world.reach(task, "succeeded")
    assert world.outcomes(task) == ["lost", "succeeded"]
    until(lambda: len(set(world.workers()) - workers) == 2, what="two new workers")
    assert agent.stop() == 0


def test_a_program_whose_fork_server_is_lost_ends_with_an_error(make_world: MakeWorld) -> None:
    world = make_world(bulk__max_concurrent=1)
    (world.directory / "program.py").write_text(SCRIPT, "utf-8")
    program, err = start_program(world.directory)
    task = world.enqueue("long")
    world.reach(task, "in_progress")
    (fork_server,) = family(program.pid) - set(world.workers())

    kill(fork_server)

    assert program.wait(10) not in (0, -signal.SIGKILL)
    assert "fork server" in err.read_text("utf-8")
    assert world.state(task) == "queued"


def test_a_supervisor_that_stood_still_takes_nobody_for_dead(make_world: MakeWorld) -> None:
    world = make_world(bulk__max_concurrent=2)
    agent = world.start()
    long = world.enqueue("gate", {"gate": "open"})
    world.started(long)
    quick = world.client.enqueue_many("mark", [{}] * 500)

    world.started(quick[0])  # a worker was woken

    until(lambda: stopped_without_the_write_lock(world, agent.pid), what="the supervisor to stand still")
    world.reach(quick[-1], "succeeded")  # the workers go on by themselves
    pass_time(0.6)  # several times what makes a heartbeat old
    kill(agent.pid, signal.SIGCONT)
    world.open("open")

    world.reach([long, *quick], "succeeded")
    assert [len(world.starts(task)) for task in (long, *quick)] == [1] * 501
    assert world.events("task.lost") == []


def test_handlers_that_end_their_process_on_import_end_the_agent_with_a_reason(make_world: MakeWorld) -> None:
    world = make_world()
    (world.directory / "handlers.py").write_text("import os\nos.abort()\n", "utf-8")

    ended = run_cli("resume", cwd=world.directory, timeout=10)

    assert ended.code == 78, ended.err
    assert "handlers" in ended.err
    assert "Traceback" not in ended.err


def test_killing_everything_at_once_again_and_again_loses_nothing(make_world: MakeWorld) -> None:
    world = make_world(bulk__max_concurrent=4)
    tasks = world.client.enqueue_many("nap", [{"s": 0.004}] * 1000)
    killed = 0
    for round_ in range(3):
        agent = world.start()
        world.ended(130 * (round_ + 1))
        victims = [agent.pid, *family(agent.pid)]
        for pid in victims:
            with suppress(ProcessLookupError):  # it has died with its parent already
                kill(pid)
        agent.wait()
        gone_within(victims, 1)
        killed += 4

    world.start("--drain", ready=0).wait(30)

    states = Counter(world.state(task) for task in tasks)
    assert states == {"succeeded": 1000}
    starts = Counter(effect.task for effect in world.effects() if effect.word == "start")
    assert set(starts) == set(tasks)
    assert sum(starts.values()) - len(tasks) <= killed
    successes = Counter(sum(word == "succeeded" for word in world.outcomes(task)) for task in tasks)
    assert successes == {1: 1000}


def stopped_without_the_write_lock(world: World, pid: int) -> bool:
    """Stop a process; if it holds up all who write, let it go on."""
    kill(pid, signal.SIGSTOP)
    until(lambda: is_stopped(pid), what="the process to stop")
    if WriteLock.of(world.directory / "state.db.run").holder() != pid:
        return True
    kill(pid, signal.SIGCONT)
    return False


def start_program(directory: Path) -> tuple[subprocess.Popen[bytes], Path]:
    """A user's own program in that directory, and the file of what it says."""
    err = directory / "program.err"
    with err.open("wb") as file:
        environment = {"PYTHONPATH": str(CHECKOUT), "PATH": "/usr/bin:/bin"}
        return subprocess.Popen([sys.executable, "program.py"], cwd=directory, stderr=file, env=environment), err
