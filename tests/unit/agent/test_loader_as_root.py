"""What root does not run: handlers that others could have written, and modules that others could have slipped in."""

from __future__ import annotations

import importlib.util
import os
import py_compile
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.errors import HandlersError
from agent.handlers import DECORATED
from agent.loader import load_handlers

GOOD = "from agent.handlers import handler\n@handler('good')\ndef good(payload): return {}\n"
EVIL = "open('planted', 'w').close()\n" + GOOD


@pytest.fixture(autouse=True)
def _as_root_in_a_fresh_interpreter(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Root, or somebody who takes himself for it: his own files are those of who owns the program."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    path, modules, decorated = sys.path[:], set(sys.modules), DECORATED[:]
    yield
    sys.path[:], DECORATED[:] = path, decorated
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def write(path: Path, text: str, mode: int = 0o644) -> Path:
    path.parent.mkdir(mode=0o755, exist_ok=True, parents=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def refused(spec: str, cwd: Path) -> str:
    with pytest.raises(HandlersError) as caught:
        load_handlers([spec] if spec else [], cwd)
    assert not (cwd / "planted").exists(), "it was run before it was refused"
    return str(caught.value)


def test_a_file_that_everybody_may_write_is_not_run(data_dir: Path) -> None:
    path = write(data_dir / "work.py", EVIL, 0o666)
    expected = f"root does not run them, for anybody may write {path}: take that right away (chmod o-w)"
    assert refused("work.py", data_dir) == f"handlers work.py: {expected}"
    assert refused("work.py:good", data_dir) == f"handlers work.py: {expected}"
    assert refused("work", data_dir) == f"handlers work: {expected}"


def test_nor_are_the_handlers_of_the_working_directory(data_dir: Path) -> None:
    path = write(data_dir / "handlers.py", EVIL, 0o666)
    assert f"anybody may write {path}" in refused("", data_dir)


def test_a_file_that_everybody_may_replace_is_not_run(data_dir: Path) -> None:
    path = write(data_dir / "open" / "work.py", EVIL)
    path.parent.chmod(0o777)
    assert f"anybody may write {path.parent}" in refused("open/work.py", data_dir)


@pytest.mark.parametrize("at_fault", ["pack", "pack/__init__.py", "pack/sub/__init__.py", "pack/sub/work.py"])
def test_a_module_is_not_run_nor_any_package_above_it_that_everybody_may_write(data_dir: Path, at_fault: str) -> None:
    for path in ("pack/__init__.py", "pack/sub/__init__.py"):
        write(data_dir / path, EVIL if path == at_fault or at_fault == "pack" else "")
    write(data_dir / "pack" / "sub" / "work.py", EVIL)
    place = data_dir / at_fault
    place.chmod(0o777 if place.is_dir() else 0o666)
    assert f"anybody may write {place}" in refused("pack.sub.work", data_dir)


def test_a_link_is_judged_by_where_it_leads(data_dir: Path) -> None:
    target = write(data_dir / "elsewhere" / "real.py", EVIL, 0o666)
    (data_dir / "work.py").symlink_to(target)
    assert f"anybody may write {target}" in refused("work.py", data_dir)


@pytest.mark.parametrize("mode", [0o666, 0o644])
def test_no_bytecode_that_others_may_have_planted_is_run_for_a_good_file(data_dir: Path, mode: int) -> None:
    path = write(data_dir / "work.py", EVIL)
    compiled = Path(py_compile.compile(str(path)) or "")
    times = path.stat().st_mtime_ns
    write(path, "#" + GOOD.ljust(len(EVIL) - 1, "#"))  # of the same length and age: its bytecode seems to be fresh
    os.utime(path, ns=(times, times))
    assert compiled == Path(importlib.util.cache_from_source(path))
    (compiled.parent if mode == 0o644 else compiled).chmod(0o777)
    assert "anybody may write" in refused("work.py", data_dir)


def test_importing_leaves_no_bytecode_that_others_may_write_and_handlers_their_umask(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    path = write(data_dir / "work.py", GOOD)
    before = os.umask(0)
    try:
        load_handlers(["work.py"], data_dir)
        assert os.umask(0) == 0
    finally:
        os.umask(before)
    compiled = Path(importlib.util.cache_from_source(path))
    assert [place.stat().st_mode & 0o022 for place in (compiled, compiled.parent)] == [0, 0]


def test_what_nobody_else_may_write_runs(data_dir: Path) -> None:
    write(data_dir / "pack" / "work.py", GOOD)
    assert load_handlers(["pack.work"], data_dir).types() == ["good"]


def test_in_a_directory_for_everybody_root_runs_the_file_it_named_and_imports_nothing_else(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shared = data_dir / "shared"
    path = write(shared / "work.py", GOOD)
    write(shared / "wanted_by_work.py", EVIL)
    shared.chmod(0o1777)
    assert load_handlers([str(path)], shared).types() == ["good"]
    assert str(shared) not in sys.path
    assert f"warning: root imports no other modules from {shared}" in capsys.readouterr().err

    write(path, "import wanted_by_work\n" + GOOD)
    del sys.modules[next(name for name in sys.modules if name.startswith("work_"))]
    assert "No module named 'wanted_by_work'" in refused(str(path), shared)
