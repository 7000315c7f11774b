"""Both forms of the fork server, as the supervisor starts them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from agent import host
from tests.support.fork_servers import FRESH_MAIN, Harness
from tests.support.processes import CHECKOUT
from tests.support.waiting import until
from workers.births import NOT_FOR_HANDLERS
from workers.channel import PeerGone
from workers.fork_client import ForkServer


def test_no_room_for_another_process_is_reported_and_survived(
    start_fresh: Callable[[], Harness], tmp_path: Path
) -> None:
    (tmp_path / "mains.py").write_text(
        "import os, resource\n"
        "resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))\n"
        "if os.geteuid() == 0: os.setuid(65534)\n"  # no such limit binds root
        f"{FRESH_MAIN}"
    )
    harness = start_fresh()
    harness.report("types")
    for _ in range(2):
        worker = harness.ask_for(code=0)
        report = harness.report("fork_failed")
        assert report["worker"] == worker.number
        assert "Resource temporarily unavailable" in report["error"]
        assert worker.read() == ""
    assert harness.server.is_alive()


# The fresh form


@pytest.mark.parametrize("name", ["socket", "traceback", "select", "workers"])
def test_no_file_of_the_working_directory_takes_the_place_of_a_module_before_the_handlers_are_loaded(
    start_fresh: Callable[[], Harness], data_dir: Path, name: str
) -> None:
    (data_dir / f"{name}.py").write_text("open('planted', 'w').close()\n")
    assert start_fresh().report("types")["types"] == {}
    assert not (data_dir / "planted").exists()


def test_handlers_do_not_see_the_supervisors_variables_even_while_they_are_imported(
    start_fresh: Callable[[], Harness], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "handlers.py").write_text(
        "import os\nfrom agent.handlers import handler\n"
        f"for name in {(*NOT_FOR_HANDLERS, 'KEPT')} :\n"
        "    if name in os.environ: handler(name)(lambda payload: {})\n"
    )
    for name in (*NOT_FOR_HANDLERS, "KEPT"):
        monkeypatch.setenv(name, "1")
    assert list(start_fresh().report("types")["types"]) == ["KEPT"]


def test_a_fresh_one_loads_the_handlers_and_forks_workers_that_have_them(
    start_fresh: Callable[[], Harness], tmp_path: Path
) -> None:
    (tmp_path / "handlers.py").write_text(
        "from agent.handlers import handler\n@handler('demo', max_attempts=2, timeout='10s')\ndef demo(payload): ...\n"
    )
    harness = start_fresh()
    options = {"max_attempts": 2, "timeout": 10.0, "max_concurrent": None}
    assert harness.report("types") == {"op": "types", "types": {"demo": options}, "threads": []}
    worker = harness.fork(code=4)
    assert worker.read_line() == "{'code': 4} ['demo']"
    worker.control.close()
    assert harness.report("exited")["status"] == 4
    assert harness.server.stop(10) == 0


def test_threads_that_the_handlers_started_are_named(start_fresh: Callable[[], Harness], tmp_path: Path) -> None:
    (tmp_path / "handlers.py").write_text(
        "import threading, time\nthreading.Thread(target=time.sleep, args=(1000,), name='ticker', daemon=True).start()"
    )
    assert start_fresh().report("types")["threads"] == ["ticker"]


def test_an_error_in_the_handlers_comes_back_whole(start_fresh: Callable[[], Harness], tmp_path: Path) -> None:
    (tmp_path / "handlers.py").write_text("import a_module_that_is_missing")
    harness = start_fresh()
    text = harness.report("import_error")["text"]
    assert "No module named 'a_module_that_is_missing'" in text
    assert "handlers.py:1" in text
    with pytest.raises(PeerGone):
        harness.server.channel.receive_wait(10)
    until(lambda: not harness.server.is_alive())
    assert harness.server.exited == 78


def test_handlers_that_exit_are_an_error_of_theirs(start_fresh: Callable[[], Harness], tmp_path: Path) -> None:
    (tmp_path / "handlers.py").write_text("import sys; sys.exit(0)")
    assert "SystemExit" in start_fresh().report("import_error")["text"]


def test_handlers_that_crash_the_interpreter_leave_their_signal(
    start_fresh: Callable[[], Harness], tmp_path: Path
) -> None:
    (tmp_path / "handlers.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    harness = start_fresh()
    with pytest.raises(PeerGone):
        harness.server.channel.receive_wait(10)
    until(lambda: not harness.server.is_alive())
    assert harness.server.exited == -signal.SIGKILL


def test_a_main_that_is_missing_is_an_import_error(tmp_path: Path) -> None:
    harness = Harness(ForkServer.start_fresh([], tmp_path, "nowhere:main"))
    assert "No module named 'nowhere'" in harness.report("import_error")["text"]
    harness.close()


def test_our_modules_win_over_the_users_of_the_same_name(
    start_fresh: Callable[[], Harness], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("workers", "agent", "supervisor"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('the wrong module')")
    (tmp_path / "mine.py").write_text("X = 1")
    (tmp_path / "handlers.py").write_text("import mine, agent.errors, workers.channel")
    start_fresh().report("types")


def test_children_that_the_handlers_started_are_left_to_them(
    start_fresh: Callable[[], Harness], tmp_path: Path
) -> None:
    (tmp_path / "handlers.py").write_text(
        "import os, subprocess\nchild = subprocess.Popen(['sh', '-c', 'exit 0'])\n"
        "os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)\n"
    )
    harness = start_fresh()
    harness.report("types")
    for code in (1, 2):
        worker = harness.fork(code=code)
        worker.control.close()
        assert harness.report("exited")["status"] == code
    children = Path(f"/proc/{harness.server.pid}/task/{harness.server.pid}/children").read_text().split()
    assert len(children) == 1, "nobody but the handlers reaps it"


def test_what_handlers_print_as_they_are_imported_goes_to_stderr_once(tmp_path: Path) -> None:
    (tmp_path / "handlers.py").write_text("print('imported')")
    (tmp_path / "mains.py").write_text(FRESH_MAIN)
    program = f"""
import os
from pathlib import Path
from workers.channel import Channel
from workers.fork_client import ForkServer
server = ForkServer.start_fresh([], Path({str(tmp_path)!r}), "mains:main")
server.channel.receive_wait()
ours, theirs = Channel.pair()
server.fork(1, {{"code": 0}}, [theirs.fileno(), 2])
theirs.close()
server.channel.receive_wait()
ours.close()
print(server.channel.receive_wait()[0]["status"], server.stop(10))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert done.stdout == "0 0\n"
    assert done.stderr == "imported\n{'code': 0} []\n"


def test_what_the_user_printed_before_is_not_printed_again(tmp_path: Path) -> None:
    program = """
from agent.handlers import Registry
from workers.channel import Channel
from workers.fork_client import ForkServer
print("said once")
server = ForkServer.start_forked(Registry(), lambda *_: 0)
server.channel.receive_wait()
ours, theirs = Channel.pair()
server.fork(1, {}, [theirs.fileno(), 2])
server.channel.receive_wait()
server.channel.receive_wait()
server.stop(10)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=CHECKOUT, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "said once\n", "")


def test_it_keeps_none_of_the_users_inheritable_descriptors(start_fresh: Callable[[], Harness]) -> None:
    read_end, write_end = os.pipe()
    os.set_inheritable(write_end, True)
    harness = start_fresh()
    harness.report("types")
    os.close(write_end)
    assert os.read(read_end, 1) == b""
    os.close(read_end)


def test_identities_agree_across_processes(start: Callable[..., Harness]) -> None:
    def main(*_: object) -> int:
        print(host.identity(os.getpid()), flush=True)
        signal.pause()
        return 0

    worker = start(main).fork()
    assert worker.read_line() == str(host.identity(worker.pid))
