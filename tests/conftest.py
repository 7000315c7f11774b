"""What every test stands on: an environment without our variables, and a run that leaves nothing behind."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import setproctitle

from agent.store.locks import WriteLock
from tests.support.processes import CHECKOUT, ancestors, command_of, family, kill_all, processes_in, processes_with
from tests.support.waiting import until

RUN_VARIABLE = "SANA_TEST_RUN"  # without our prefix, under which every unknown name is a mistake
FROM_OUTSIDE = ("STATE_DIRECTORY", "LOGS_DIRECTORY", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
CACHES = ("__pycache__", ".pytest_cache", ".hypothesis", ".mypy_cache", ".ruff_cache")

# It finds its room beside the environment as it was given to us: before a test changes a variable.
setproctitle.getproctitle()

# A deadline for one example would judge the machine's load, not the code.
hypothesis.settings.register_profile("tests", deadline=None, print_blob=True)
hypothesis.settings.load_profile("tests")


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of whoever runs the tests configures the agent."""
    for name in list(os.environ):
        if name.startswith("SANAAGENT_") or name in FROM_OUTSIDE:
            monkeypatch.delenv(name)


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory, which is the working directory of the test."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left_behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Fails the run when a process that it started still lives at its end, or a new file lies in the checkout."""
    run = os.environ[RUN_VARIABLE] = secrets.token_hex(8)
    files_before = _files_beyond_the_source()
    yield
    del os.environ[RUN_VARIABLE]
    directory = tmp_path_factory.getbasetemp().resolve()
    complaints = [f"process {pid} still runs: {command}" for pid, command in _processes_left(run, directory).items()]
    complaints += [f"new in the checkout: {path}" for path in sorted(_files_beyond_the_source() - files_before)]
    if complaints:
        pytest.fail("the tests left something behind:\n  " + "\n  ".join(complaints), pytrace=False)


def _processes_left(run: str, directory: Path) -> dict[int, str]:
    """What still lives a little later, by process id; it is killed, so that the next run starts clean.

    Three nets, for each alone has holes: a changed process title hides the environment, a process forked without
    exec shows that of before the run, and an orphan is nobody's child.
    """
    ours = {os.getpid()} | ancestors(os.getpid())

    def living() -> set[int]:
        return (processes_with(RUN_VARIABLE, run) | processes_in(directory) | family(os.getpid())) - ours

    try:
        until(lambda: not living(), timeout=2, what="the last processes to end")
    except pytest.fail.Exception:
        left = {pid: command_of(pid) for pid in living()}
        kill_all(living)
        return left
    return {}


def _files_beyond_the_source() -> set[str]:
    """What git does not track, ignored or not, but for caches; nothing where there is no git to ask."""
    if not (CHECKOUT / ".git").exists() or not shutil.which("git"):
        return set()
    command = ["git", "-c", "safe.directory=*", "--no-optional-locks", "status", "--porcelain", "--ignored", "-z"]
    status = subprocess.run(command, cwd=CHECKOUT, check=True, capture_output=True, text=True)
    lines = [line for line in status.stdout.split("\0") if line[:2] in ("??", "!!")]
    return {line[3:] for line in lines if not any(part in CACHES for part in Path(line[3:]).parts)}


if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in a shell's background: what is tested would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_runtest_logfinish() -> None:
    """A database that is gone needs no lock: else the suite comes to hold more descriptors than select takes."""
    for made, lock in list(WriteLock._made.items()):
        if not lock.directory.exists():
            if "_fd" in vars(lock):
                os.close(lock._fd)
            del WriteLock._made[made]
