"""The agent from Python: a user's own program enqueues, waits, supervises, and gets typed errors."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from enhanced_automation_agent import (
    AgentError,
    EnhancedAutomationAgent,
    Fail,
    RetryAfter,
    current_attempt,
)
from tests.acceptance.home import CONFIG, Home
from tests.support.processes import CHECKOUT
from tests.support.waiting import until

HANDLERS = """\
from enhanced_automation_agent import EnhancedAutomationAgent, RetryAfter, current_attempt

agent = EnhancedAutomationAgent()
tags = []


@agent.worker_start
def tag():
    tags.append("ready")


@agent.handler("family")
def family(payload):
    if payload["depth"] == 0:
        return {"children": []}
    return {"children": [agent.enqueue("family", {"depth": payload["depth"] - 1}) for _ in range(2)]}


@agent.handler("who", timeout="1m", max_attempts=7)
def who(payload):
    info = current_attempt()
    return {
        "id": info.task_id, "type": info.type, "attempt": info.attempt, "key": info.key,
        "has_deadline": info.deadline is not None, "tags": tags,
    }


@agent.handler("patient")
def patient(payload):
    print("asked", payload["n"])
    if current_attempt().attempt == 1:
        raise RetryAfter(0.05)
    return {"attempt": current_attempt().attempt}


@agent.handler("picky", retry_on=(ConnectionError,))
def picky(payload):
    raise {"ConnectionError": ConnectionError, "KeyError": KeyError}[payload["raises"]](payload["raises"])


agent.register_handler("echo", lambda payload: payload)
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A directory with an agent that serves these handlers."""
    home = Home(tmp_path_factory.mktemp("home"), HANDLERS)
    home.serve()
    yield home
    home.close()


# -- Tasks and results


def test_a_result_is_waited_for(served: Home) -> None:
    task = served.agent.enqueue("echo", {"value": [1, {"a": None}]})

    assert served.agent.result(task, timeout="10s") == {"value": [1, {"a": None}]}


def test_waiting_ends_with_typed_errors(served: Home) -> None:
    from agent.errors import NotFound, TaskFailed, WaitTimeout

    later = served.agent.enqueue("echo", {}, delay="1h")
    failing = served.agent.enqueue("picky", {"raises": "KeyError"})

    with pytest.raises(WaitTimeout, match=f"task {later} has not ended within 0.05 s"):
        served.agent.result(later, timeout=timedelta(milliseconds=50))
    with pytest.raises(TaskFailed, match=f"task {failing} failed: KeyError"):
        served.agent.result(failing)
    with pytest.raises(NotFound, match="there is no task 999999"):
        served.agent.result(999_999)
    served.agent.cancel(later)
    with pytest.raises(TaskFailed, match=f"task {later} cancelled"):
        served.agent.result(later)


def test_a_handler_knows_which_attempt_it_is(served: Home) -> None:
    task = served.agent.enqueue("who", {}, idempotency_key="me")

    assert served.agent.result(task) == {
        "id": task, "type": "who", "attempt": 1, "key": "me", "has_deadline": True, "tags": ["ready"],
    }  # fmt: skip


def test_outside_a_handler_there_is_no_attempt() -> None:
    with pytest.raises(AgentError, match="only inside a handler"):
        current_attempt()


def test_a_handler_enqueues_tasks_of_its_own(served: Home) -> None:
    grandparent = served.agent.enqueue("family", {"depth": 2})

    children = served.agent.result(grandparent)["children"]
    grandchildren = [served.agent.result(child)["children"] for child in children]

    assert [served.agent.result(task) for pair in grandchildren for task in pair] == [{"children": []}] * 4


def test_a_handler_says_when_it_wants_to_be_tried_again(served: Home) -> None:
    task = served.agent.enqueue("patient", {"n": 1})

    assert served.agent.result(task) == {"attempt": 2}

    first, second = served.agent.inspect(task)["attempts"]
    assert "RetryAfter" in first["error"]
    gap = datetime.fromisoformat(second["started_at"]) - datetime.fromisoformat(first["ended_at"])
    assert gap >= timedelta(seconds=0.045)


def test_only_the_exceptions_that_a_type_names_are_worth_another_attempt(served: Home) -> None:
    tasks = [served.agent.enqueue("picky", {"raises": name}) for name in ("KeyError", "ConnectionError")]

    assert [served.reach(task, "failed")["attempt"] for task in tasks] == [1, 3]


def test_what_a_handler_prints_reaches_the_agents_stderr_with_its_task(served: Home) -> None:
    task = served.agent.enqueue("patient", {"n": 7})
    served.agent.result(task)

    said = (served.directory / "agent-1.err").read_text
    line = until(lambda: [line for line in said().splitlines() if "asked 7" in line], what="the handler's output")[0]
    assert str(task) in line


# -- Enqueueing


def test_times_are_given_in_every_form(home: Home) -> None:
    agent = home.agent
    at = datetime(2099, 12, 24, 18, tzinfo=UTC)
    tasks = [
        agent.enqueue("echo", {}, run_at=at),
        agent.enqueue("echo", {}, run_at=at.replace(tzinfo=None)),  # without an offset: UTC
        agent.enqueue("echo", {}, delay=90),
        agent.enqueue("echo", {}, delay="1m30s"),
        agent.enqueue("echo", {}, delay=timedelta(seconds=90)),
    ]

    records = [agent.inspect(task) for task in tasks]

    assert [record["due_at"] for record in records[:2]] == ["2099-12-24T18:00:00.000000Z"] * 2
    for record in records[2:]:
        delay = datetime.fromisoformat(record["due_at"]) - datetime.fromisoformat(record["created_at"])
        assert timedelta(seconds=85) < delay <= timedelta(seconds=90)


@pytest.mark.parametrize(
    ("call", "kind", "exit_code"),
    [
        (lambda agent: agent.enqueue("echo", [1]), "PayloadError", 65),
        (lambda agent: agent.enqueue("echo", {"a": {1, 2}}), "PayloadError", 65),
        (lambda agent: agent.enqueue("echo", {1: 2}), "PayloadError", 65),
        (lambda agent: agent.enqueue("echo", {"a": float("nan")}), "PayloadError", 65),
        (lambda agent: agent.enqueue("echo", {"a": 2**63}), "PayloadError", 65),
        (lambda agent: agent.enqueue("echo", {}, priority=1.5), "UsageError", 2),
        (lambda agent: agent.enqueue("echo", {}, delay="soon"), "UsageError", 2),
        (lambda agent: agent.enqueue("echo", {}, delay=1, run_at=datetime.now(UTC)), "UsageError", 2),
        (lambda agent: agent.enqueue("echo", {}, idempotency_key=""), "UsageError", 2),
        (lambda agent: agent.enqueue("", {}), "UsageError", 2),
        (lambda agent: agent.tasks(state="done"), "UsageError", 2),
        (lambda agent: agent.inspect(1), "NotFound", 3),
        (lambda agent: agent.cancel(1), "NotFound", 3),
        (lambda agent: agent.retry(1), "NotFound", 3),
        (lambda agent: agent.freeze("nobody"), "Unavailable", 69),
        (lambda agent: agent.scale(0), "UsageError", 2),
        (lambda agent: agent.register_handler("echo", 3), "UsageError", 2),
    ],
)
def test_every_error_is_typed(
    home: Home, call: Callable[[EnhancedAutomationAgent], Any], kind: str, exit_code: int
) -> None:
    home.make_database()
    with pytest.raises(AgentError) as caught:
        call(home.agent)

    assert (type(caught.value).__name__, caught.value.exit_code) == (kind, exit_code)
    assert home.total() == 0


def test_many_are_stored_by_the_thousand_and_an_error_names_those_that_are(home: Home) -> None:
    def payloads() -> Iterator[dict[str, Any]]:
        yield from ({"n": n} for n in range(2500))
        yield {"n": {1, 2}}

    with pytest.raises(AgentError, match=r"payload\.n") as caught:
        home.agent.enqueue_many("echo", payloads())

    assert list(caught.value.ids) == list(range(1, 2001))
    assert home.total() == 2000
    assert home.agent.enqueue_many("echo", ({"n": n} for n in range(3)), priority=2) == [2001, 2002, 2003]
    assert home.agent.inspect(2003)["priority"] == 2


def test_threads_share_an_agent(home: Home) -> None:
    ids: list[int] = []

    def enqueue(thread: int) -> None:
        ids.extend(home.agent.enqueue("echo", {"thread": thread, "n": n}) for n in range(25))

    threads = [threading.Thread(target=enqueue, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(ids) == list(range(1, 201))
    assert home.total() == 200


def test_a_forked_child_enqueues_like_its_parent(home: Home) -> None:
    home.agent.enqueue("echo", {"by": "the parent"})

    pids = []
    for _ in range(3):
        pid = os.fork()
        if pid == 0:
            os._exit(home.agent.enqueue("echo", {"by": "a child"}))
        pids.append(pid)

    ids = {os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids}
    last = home.agent.enqueue("echo", {"by": "the parent"})
    assert ids == {2, 3, 4}
    assert last == 5
    assert [task["payload"]["by"] for task in home.agent.tasks()] == ["the parent", *["a child"] * 3, "the parent"]


def test_variables_override_the_file_for_a_program_too(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANAAGENT_BULK_MAX_QUEUED", "1")
    agent = EnhancedAutomationAgent(home.directory / "config.yml")
    agent.enqueue("echo", {})

    with pytest.raises(AgentError, match=r"bulk\.max_queued") as caught:
        agent.enqueue("echo", {})

    agent.close()
    assert caught.value.exit_code == 75


def test_a_handlers_exceptions_say_what_they_mean() -> None:
    assert str(Fail("why")) == "why"
    assert RetryAfter(timedelta(minutes=1)).seconds == 60
    with pytest.raises(ValueError, match="0 seconds to 10 years"):
        RetryAfter(-1)


# -- A program of the user's that is the agent


def program(home: Home, text: str) -> subprocess.CompletedProcess[str]:
    """A script of the user's, run to its end in the directory."""
    (home.directory / "program.py").write_text(text)
    env = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    command = [sys.executable, "program.py"]
    return subprocess.run(command, cwd=home.directory, env=env, capture_output=True, text=True, check=False)


def test_a_program_registers_enqueues_runs_and_reads(data_dir: Any) -> None:
    home = Home(data_dir, handlers="", config=CONFIG)
    done = program(
        home,
        """\
from enhanced_automation_agent import EnhancedAutomationAgent, handler

agent = EnhancedAutomationAgent()
offset = 1000
started = []

@agent.worker_start
def start():
    started.append("worker")

@agent.handler("closure", max_attempts=1, timeout=30)
def closure(payload):
    return {"result": payload["value"] + offset, "started": started}

@handler("decorated")
def decorated(payload):
    return {"children": agent.enqueue_many("lambda", [{"value": n} for n in range(3)])}

agent.register_handler("lambda", lambda payload: {"result": -payload["value"]})

first, second = agent.enqueue("closure", {"value": 42}), agent.enqueue("decorated", {})
print(agent.resume(drain=True))
print(agent.result(first))
print([agent.result(task)["result"] for task in agent.result(second)["children"]])
print(started, agent.stats()["states"]["succeeded"])
""",
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["0", "{'result': 1042, 'started': ['worker']}", "[0, -1, -2]", "[] 5"]
    home.close()


def test_a_second_supervisor_is_refused_with_a_typed_error(served: Home) -> None:
    pid = served.agent.stats()["supervisor_pid"]

    done = program(
        served,
        """\
from enhanced_automation_agent import EnhancedAutomationAgent
from agent.errors import AlreadySupervised

agent = EnhancedAutomationAgent()
agent.register_handler("x", lambda payload: {})
try:
    agent.resume(drain=True)
except AlreadySupervised as error:
    print(error)
""",
    )

    assert done.stdout.startswith(f"process {pid} supervises this database already"), done.stderr


def test_the_packages_are_typed() -> None:
    assert (CHECKOUT / "agent" / "py.typed").is_file()
    assert (CHECKOUT / "workers" / "py.typed").is_file()
