"""As root: what anybody else may have written is refused with exit code 78 and the cure, before it has any effect."""

from __future__ import annotations

import os

import pytest

from tests.acceptance.home import Home

STRANGER = 12345

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root is so careful")


@pytest.mark.parametrize("command", [["stats"], ["enqueue", "echo", "{}"], ["resume", "--drain"]], ids=lambda c: c[0])
@pytest.mark.parametrize("env", [{}, {"SANAAGENT_CONFIG": "config.yml"}], ids=["found", "named"])
def test_a_configuration_that_everybody_may_write_is_refused(
    home: Home, command: list[str], env: dict[str, str]
) -> None:
    (home.directory / "config.yml").chmod(0o666)
    said = home.refused(78, *command, env=env)
    path = home.directory / "config.yml"
    assert said.partition(": ")[2] == (
        f"root does not obey it, for anybody may write {path}: take that right away (chmod o-w)"
    )
    assert not (home.directory / "state.db").exists()


def test_a_configuration_of_somebody_else_is_refused(home: Home) -> None:
    os.chown(home.directory / "config.yml", STRANGER, STRANGER)
    said = home.refused(78, "stats")
    assert f"belongs to user {STRANGER}: give it to root (chown), or run the agent as that user" in said


def test_who_called_sudo_has_his_own_configuration_obeyed(home: Home) -> None:
    os.chown(home.directory / "config.yml", STRANGER, STRANGER)
    assert home.call("enqueue", "echo", "{}", env={"SUDO_UID": str(STRANGER)}).code == 0


def test_handlers_that_everybody_may_write_are_refused(home: Home) -> None:
    task = home.agent.enqueue("echo", {})
    (home.directory / "handlers.py").chmod(0o666)
    done = home.cli("resume", "--drain")
    assert done.code == 78
    assert done.err.count("root does not run them, for anybody may write ") == 1
    assert home.agent.inspect(task)["state"] == "queued"
    assert home.runs(task) == 0


def test_handlers_are_no_concern_of_those_who_only_enqueue(home: Home) -> None:
    (home.directory / "handlers.py").chmod(0o666)
    assert home.call("enqueue", "echo", "{}").code == 0
