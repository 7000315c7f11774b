"""Finding the command, the group's options, and what each way to fail comes to."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from agent.cli.main import COMMANDS, cli
from agent.errors import (
    AgentError,
    AlreadySupervised,
    ConfigError,
    Conflict,
    NotFound,
    PayloadError,
    TaskFailed,
    Unavailable,
    UsageError,
    WaitTimeout,
)
from tests.unit.agent.cli.port import Answer, FakeAgent

CHECKOUT = Path(__file__).resolve().parents[4]
SLOW = ("rich", "structlog", "psutil", "tenacity", "apsw", "yaml", "urllib3", "setproctitle", "asyncio", "subprocess")
Called = Callable[..., Answer]

STATS = """{
    "states": {"queued": 1}, "types": {"demo": {"queued": 1}}, "oldest_queued_s": 0.0,
    "governor": {"limit": 1, "max": 1, "paused_until": None, "reasons": []}, "supervisor_pid": None, "degraded": None,
}"""

PROGRAM = f"""
import sys
from agent.cli.main import run

class Agent:
    def enqueue_text(self, type, payload, **options): return 7
    def unhandled(self, type): return None
    def inspect(self, task): return {{"id": task, "payload": {{}}, "attempts": []}}
    def stats(self): return {STATS}
    def close(self): pass

code = run(sys.argv[1:], lambda config, handlers, overrides: Agent())
print(*sorted(sys.modules), sep="\\n", file=sys.stderr)
sys.exit(code)
"""


def start(*words: str, stdout: int = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own; the names of the modules it imported are on stderr."""
    command = [sys.executable, "-c", PROGRAM, *words]
    return subprocess.run(command, cwd=CHECKOUT, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False)


# -- Finding the command


def test_help_names_every_command(call: Called) -> None:
    answer = call("--help")

    assert answer.code == 0
    assert [name for name in COMMANDS if f"\n  {name} " not in answer.out] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_json(name: str, call: Called, agent: FakeAgent) -> None:
    answer = call(name, "--help")

    assert answer.code == 0
    assert "--json" in answer.out
    assert agent.builds == []


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_says_what_it_does_in_one_short_line(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)

    assert command is not None
    assert not command.get_short_help_str(limit=65).endswith("...")


def test_no_command_shows_the_help_on_stderr(call: Called) -> None:
    answer = call()

    assert (answer.code, answer.out) == (2, "")
    assert "Usage:" in answer.err


def test_a_misspelt_command_is_guessed(call: Called) -> None:
    answer = call("enqeue", "demo", "{}")

    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("error: there is no command 'enqeue'; did you mean 'enqueue'?")


def test_an_unknown_option_is_guessed_and_help_is_named(call: Called) -> None:
    answer = call("enqueue", "demo", "{}", "--prio", "1")

    assert answer.code == 2
    assert "--priority" in answer.err
    assert answer.err.endswith("enqueue --help\n")


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("stats", "--config", "x.yml"), "--config goes before the command: "),
        (("--json", "stats"), "what is said to a command goes after it\n"),
    ],
)
def test_an_option_on_the_wrong_side_of_the_command_is_told_its_place(
    words: tuple[str, ...], hint: str, call: Called, agent: FakeAgent
) -> None:
    answer = call(*words)

    assert (answer.code, answer.out, agent.builds) == (2, "", [])
    assert f"\n{hint}" in answer.err


def test_the_version_is_that_of_the_checkout(call: Called) -> None:
    answer = call("--version")

    assert answer.code == 0
    assert f"version = {answer.out.removeprefix('sanaagent ').strip()}\n" in (CHECKOUT / "setup.cfg").read_text("utf-8")


# -- The options of the group


def test_the_agent_is_built_as_the_options_say(call: Called, agent: FakeAgent) -> None:
    agent.answers["tasks"] = []

    call("--config", "other.yml", "--handlers", "a.py", "--handlers", "pkg.mod:agent", "tasks")

    assert agent.builds == [("other.yml", ("a.py", "pkg.mod:agent"), {})]


def test_without_options_the_configuration_decides(call: Called, agent: FakeAgent) -> None:
    agent.answers["tasks"] = []

    call("tasks")

    assert agent.builds == [(None, None, {})]


@pytest.mark.parametrize("outcome", [[], NotFound("no"), RuntimeError("no"), KeyboardInterrupt()])
def test_the_agent_is_closed_whatever_happens(outcome: object, call: Called, agent: FakeAgent) -> None:
    agent.answers["tasks"] = outcome

    call("tasks")

    assert agent.closed == 1


# -- Ways to fail


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (AgentError, 1),
        (UsageError, 2),
        (NotFound, 3),
        (Conflict, 4),
        (TaskFailed, 5),
        (WaitTimeout, 6),
        (PayloadError, 65),
        (Unavailable, 69),
        (AlreadySupervised, 75),
        (ConfigError, 78),
    ],
)
def test_an_error_is_one_sentence_on_stderr_and_its_exit_code(
    error: type[AgentError], code: int, call: Called, agent: FakeAgent
) -> None:
    agent.answers["stats"] = error("state.db is not there: start the agent")

    assert call("stats", "--json") == (code, "", "error: state.db is not there: start the agent\n")


def test_an_error_of_the_configuration_keeps_its_lines(call: Called, agent: FakeAgent) -> None:
    agent.answers["stats"] = ConfigError("2 mistakes:\nconfig.yml:2:3: first\nconfig.yml:4:5: second")

    assert call("stats").err.splitlines()[1:] == ["config.yml:2:3: first", "config.yml:4:5: second"]


def test_an_error_does_not_steer_the_terminal(call: Called, agent: FakeAgent) -> None:
    agent.answers["stats"] = NotFound("no \x1b[31mred\x9b thing, \udcff")

    assert call("stats").err == "error: no \\x1b[31mred\\x9b thing, \\udcff\n"


def test_a_bug_is_called_one_and_shows_no_traceback(call: Called, agent: FakeAgent) -> None:
    agent.answers["stats"] = ZeroDivisionError("division by zero")

    answer = call("stats")

    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith("error: a bug in the agent")
    assert answer.err.count("\n") == 1


def test_a_system_that_has_no_more_to_give_is_no_bug(call: Called, agent: FakeAgent) -> None:
    agent.answers["stats"] = OSError(errno.EMFILE, "Too many open files", "/proc/7/stat")

    answer = call("stats")

    assert (answer.code, answer.out) == (69, "")
    assert answer.err == (
        "error: the system has no more to give (Too many open files): let this process open more files"
        " (ulimit -n; LimitNOFILE= in a unit)\n"
    )


@pytest.mark.parametrize("error", [ZeroDivisionError("oh"), NotFound("oh")])
def test_debug_shows_the_traceback(error: Exception, call: Called, agent: FakeAgent) -> None:
    agent.answers["stats"] = error

    assert "Traceback (most recent call last)" in call("--debug", "stats").err


def test_an_interrupt_is_no_error(call: Called, agent: FakeAgent) -> None:
    agent.answers["stats"] = KeyboardInterrupt()

    answer = call("stats")

    assert (answer.code, answer.out, answer.err.strip()) == (130, "", "")


@pytest.mark.parametrize("words", [["stats"], ["stats", "--json"], ["stats", "--watch"], ["--help"]])
def test_a_reader_who_has_gone_is_not_complained_about(words: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)

    ended = start(*words, stdout=writing)
    os.close(writing)

    assert ended.returncode == 1
    assert "error:" not in ended.stderr
    assert "Exception" not in ended.stderr


def test_a_full_disk_below_stdout_is_told_once() -> None:
    full = os.open("/dev/full", os.O_WRONLY)

    ended = start("stats", stdout=full)
    os.close(full)

    assert ended.returncode == 1
    assert ended.stderr.startswith("error: stdout cannot be written (No space left on device)")
    assert "Exception" not in ended.stderr


@pytest.mark.parametrize("number", [1, 2])
def test_a_stream_that_was_closed_before_is_missed_by_nobody(number: int) -> None:
    words = [sys.executable, str(CHECKOUT / "enhanced_automation_agent.py"), "--help"]

    ended = subprocess.run(["sh", "-c", f'exec "$@" {number}>&-', "sh", *words], capture_output=True, timeout=20)

    assert (ended.returncode, ended.stderr) == (0, b"")


# -- What starting costs


@pytest.mark.parametrize("words", [["enqueue", "demo", "{}"], ["inspect", "7"]])
def test_a_quick_command_imports_only_what_it_needs(words: list[str]) -> None:
    imported = start(*words).stderr.split()

    assert [name for name in SLOW if name in imported] == []
    commands = [name for name in imported if name.startswith("agent.cli.commands.")]
    assert commands == [f"agent.cli.commands.{words[0]}"]
