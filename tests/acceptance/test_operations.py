"""What docs/operations.md promises: the unit, the words to systemd, backup and restore."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.home import Home
from tests.support.processes import CHECKOUT, start_agent
from tests.support.waiting import until

UNIT = CHECKOUT / "docs" / "sanaagent.service"


@pytest.fixture
def notified(tmp_path: Path) -> Iterator[socket.socket]:
    """Where systemd would listen."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(str(tmp_path / "notify"))
        end.settimeout(20)
        yield end


def heard(end: socket.socket, word: str) -> str:
    """The next message that holds a word."""
    while word not in (message := end.recv(4096).decode()):
        pass
    return message


def test_systemd_hears_of_readiness_life_and_end(home: Home, notified: socket.socket) -> None:
    env = {"NOTIFY_SOCKET": notified.getsockname(), "WATCHDOG_USEC": "200000"}

    with start_agent(home.directory, "resume", env=env) as agent:
        heard(notified, "READY=1")
        for _ in range(3):
            heard(notified, "WATCHDOG=1")
        agent.process.terminate()
        assert "EXTEND_TIMEOUT_USEC=" in heard(notified, "STOPPING=1")
        assert agent.wait() == 0


def test_relative_paths_start_at_systemds_directories(data_dir: Path) -> None:
    (data_dir / "work").mkdir()
    (data_dir / "state").mkdir()
    env = {"STATE_DIRECTORY": str(data_dir / "state"), "LOGS_DIRECTORY": str(data_dir / "log")}

    with start_agent(data_dir / "work", "resume", "--drain", env=env) as agent:
        assert agent.wait() == 0, agent.err

    assert (data_dir / "state" / "state.db").exists()
    assert (data_dir / "log" / "logs" / "agent.jsonl").exists()
    assert not (data_dir / "work" / "state.db").exists()


def test_the_unit_is_one_that_systemd_understands(tmp_path: Path) -> None:
    text = UNIT.read_text("utf-8")

    command = re.search(r"^ExecStart=(\S+) (.+)$", text, re.MULTILINE)
    assert command is not None
    assert command[2] == "/opt/sanaagent/enhanced_automation_agent.py --config /etc/sanaagent/config.yml resume"
    for line in ("Type=notify", "KillMode=mixed", "OOMPolicy=continue", "RestartPreventExitStatus=78"):
        assert f"\n{line}\n" in text
    if analyze := shutil.which("systemd-analyze"):
        copy = tmp_path / UNIT.name
        copy.write_text(text.replace(command[1], sys.executable))
        # Its exit code is 0 for keys it does not know: what it says is what counts.
        done = subprocess.run([analyze, "verify", "--man=no", str(copy)], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


def test_a_backup_made_as_documented_can_be_restored(home: Home) -> None:
    backup, restore = re.findall(r"```bash\n(.*?)```", section("Backup"), re.DOTALL)
    home.agent.enqueue("echo", {"value": 1}, idempotency_key="before")
    with home.serve():
        until(lambda: home.agent.stats()["states"]["succeeded"] == 1, what="the task to succeed")
        shell(home, backup)
        home.agent.enqueue("echo", {"value": 2}, delay="1h")
    home.agent.close()

    shell(home, restore)

    assert home.json("stats")["states"]["succeeded"] == 1
    assert home.total() == 1
    assert home.cli("resume", "--drain").code == 0
    assert home.cli("enqueue", "echo", '{"value": 1}', "--key", "before", "--wait").out == '{"value":1}\n'
    assert home.runs(1) == 1


def test_a_backup_can_be_restored_as_documented_a_second_time(home: Home) -> None:
    backup, restore = re.findall(r"```bash\n(.*?)```", section("Backup"), re.DOTALL)
    home.agent.enqueue("echo", {"value": 1})
    shell(home, backup)
    for _ in range(2):
        home.agent.enqueue("echo", {"value": 2})
        home.agent.close()
        shell(home, restore)
        assert home.total() == 1


def section(title: str) -> str:
    """A section of the page."""
    text = (CHECKOUT / "docs" / "operations.md").read_text("utf-8")
    return text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def shell(home: Home, script: str) -> None:
    """Run a script in the database's directory."""
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    subprocess.run(["bash", "-ec", script], cwd=home.directory, env=env, check=True)


def test_every_setting_and_event_named_exists() -> None:
    from agent.config import readers
    from agent.telemetry.events import EVENTS

    text = (CHECKOUT / "docs" / "operations.md").read_text("utf-8")
    named = set(re.findall(r"`([a-z_]+\.[a-z_]+)`", text)) - {"state.db", "config.yml"}

    known = [*EVENTS, *(f"settings.{key}" for key in readers())]  # a setting may go without its section
    assert named
    assert [name for name in named if not any(f".{each}".endswith(f".{name}") for each in known)] == []
