"""A database is where locks hold, its owner's alone from the first byte on; what a stranger has planted is refused."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.errors import ConfigError, StoreError
from agent.store import migrations, open_store, place
from agent.store.connection import Connection
from agent.store.locks import WriteLock, run_directory
from agent.store.place import SIDE_FILES, exposure
from agent.task import NewTask

STRANGER = 12345
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture(params=[0o000, 0o022, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def modes(directory: Path) -> dict[str, int]:
    return {str(path.relative_to(directory)): mode(path) for path in directory.rglob("*")}


@pytest.mark.usefixtures("umask")
def test_whatever_the_umask_files_are_0600_and_directories_0700(path: Path) -> None:
    store = open_store(path, supervises=True)
    store.tasks.enqueue([NewTask("demo", "{}")], 1)
    found = modes(path.parent)
    assert {"state.db", "state.db-wal", "state.db-shm", "state.db.run/write.lock"} <= found.keys()
    wanted = {name: 0o700 if (path.parent / name).is_dir() else 0o600 for name in found}
    assert found == wanted
    store.close()


@pytest.mark.usefixtures("umask")
def test_a_backup_before_an_upgrade_is_0600_while_it_is_being_written(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(path)
    store.tasks.enqueue([NewTask("demo", '{"it":"' + "x" * 100_000 + '"}')], 1)
    store.close()
    steps = [*migrations.steps(), "CREATE TABLE added (n INTEGER) STRICT"]
    monkeypatch.setattr(migrations, "steps", lambda: steps)
    backup = path.with_name(f"state.db.before-schema-{len(steps)}")
    seen: set[int] = set()

    def look() -> bool:
        if backup.exists():
            seen.add(mode(backup))
        return False

    original = Connection.beside_writers

    def watched(self: Connection) -> object:
        self.handle.set_progress_handler(look, 1)
        return original(self)

    monkeypatch.setattr(Connection, "beside_writers", watched)
    open_store(path, supervises=True).close()
    assert seen == {mode(backup)} == {0o600}


def test_a_link_in_the_backups_place_is_not_written_through(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_store(path).close()
    steps = [*migrations.steps(), "CREATE TABLE added (n INTEGER) STRICT"]
    monkeypatch.setattr(migrations, "steps", lambda: steps)
    victim = path.with_name("victim")
    path.with_name(f"state.db.before-schema-{len(steps)}").symlink_to(victim)
    open_store(path, supervises=True).close()
    assert not victim.exists()


@pytest.mark.parametrize("suffix", SIDE_FILES)
def test_a_link_in_the_place_of_a_side_file_is_not_written_through(path: Path, suffix: str) -> None:
    open_store(path).close()
    victim = path.with_name("victim")
    victim.write_text("precious")
    path.with_name(path.name + suffix).symlink_to(victim)
    try:
        open_store(path).tasks.enqueue([NewTask("demo", "{}")], 1)
    except StoreError:
        pass
    finally:
        assert victim.read_text() == "precious"


def test_a_link_that_appears_after_the_path_was_looked_at_is_not_followed(path: Path) -> None:
    other = path.with_name("other.db")
    open_store(other).close()
    path.symlink_to(other)
    connection = Connection(path, WriteLock.of(run_directory(path)))
    with pytest.raises(StoreError):
        connection.data_version()


def test_a_link_of_ones_own_is_followed(path: Path, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    path.symlink_to(tmp_path / "disk" / "real.db")
    assert open_store(path).path == tmp_path / "disk" / "real.db"


@as_root
def test_a_link_that_a_stranger_has_made_is_refused_and_nothing_is_made_where_it_leads(path: Path) -> None:
    victim = path.parent / "victim"
    path.symlink_to(victim)
    os.chown(path, STRANGER, STRANGER, follow_symlinks=False)
    with pytest.raises(StoreError, match="a symbolic link that somebody else has made"):
        open_store(path)
    assert not victim.exists()


@pytest.mark.parametrize("wide", [0o602, 0o646, 0o666, 0o777])
def test_a_database_that_anybody_may_write_is_refused(path: Path, wide: int) -> None:
    open_store(path).close()
    path.chmod(wide)
    with pytest.raises(StoreError, match=r"anybody may write .*state\.db.*chmod o-w"):
        open_store(path)


@pytest.mark.parametrize(("wide", "told"), [(0o600, 0), (0o640, 0), (0o400, 0), (0o644, 1), (0o660, 1), (0o604, 1)])
def test_one_that_others_may_read_or_a_group_may_write_is_told_of(path: Path, wide: int, told: int) -> None:
    open_store(path).close()
    path.chmod(wide)
    assert bool(exposure(path)) == bool(told)


@pytest.mark.parametrize(("wide", "told"), [(0o755, 0), (0o775, 0), (0o1777, 1), (0o777, 1)])
def test_a_directory_where_anybody_may_plant_files_is_told_of(tmp_path: Path, wide: int, told: int) -> None:
    directory = tmp_path / "shared"
    directory.mkdir()
    open_store(directory / "state.db").close()
    directory.chmod(wide)
    assert bool(exposure(directory / "state.db")) == bool(told)


@as_root
@pytest.mark.parametrize("suffix", SIDE_FILES)
def test_a_log_or_journal_that_a_stranger_has_planted_is_not_played_back(tmp_path: Path, suffix: str) -> None:
    directory = tmp_path / "shared"
    directory.mkdir()
    directory.chmod(0o1777)
    path = directory / "state.db"
    open_store(path).close()
    planted = path.with_name(path.name + suffix)
    planted.write_bytes(b"planted")
    os.chown(planted, STRANGER, STRANGER)
    with pytest.raises(StoreError, match="was made by somebody else"):
        open_store(path)
    planted.unlink()
    open_store(path).close()


@pytest.mark.parametrize("what", ["link", "open", pytest.param("stranger's", marks=as_root)])
def test_a_run_directory_that_is_not_ones_own_is_refused(path: Path, tmp_path: Path, what: str) -> None:
    directory, victim = tmp_path / "state.db.run", tmp_path / "victim"
    victim.mkdir()
    if what == "link":
        directory.symlink_to(victim)
    else:
        directory.mkdir()
    if what == "open":
        directory.chmod(0o777)
    if what == "stranger's":
        os.chown(directory, STRANGER, STRANGER)
    with pytest.raises(StoreError, match=r"state\.db\.run is not the agent's own directory"):
        open_store(path)
    assert list(victim.iterdir()) == []


@as_root
def test_root_looks_into_the_database_of_a_service_but_does_not_run_its_tasks(path: Path) -> None:
    path.parent.chmod(0o700)
    open_store(path).close()
    for each in (path.parent, path, run_directory(path), *run_directory(path).iterdir()):
        os.chown(each, STRANGER, STRANGER)
    open_store(path).close()
    with pytest.raises(ConfigError, match=rf"persistence\.db_path: root does not run .* belongs to user {STRANGER}"):
        open_store(path, supervises=True)


@pytest.mark.parametrize("wide", [0o777, 0o757])
def test_root_runs_no_tasks_of_a_database_that_anybody_may_replace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wide: int
) -> None:
    directory = tmp_path / "shared"
    directory.mkdir()
    directory.chmod(wide)
    open_store(directory / "state.db").close()
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(ConfigError, match=f"anybody may write {directory}"):
        open_store(directory / "state.db", supervises=True)


def test_a_network_file_system_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "file_system", lambda directory: "nfs4")

    with pytest.raises(StoreError, match=r"network file system \(nfs4\)"):
        open_store(path)


@pytest.mark.parametrize(("directory", "kind"), [("/proc/self", "proc"), ("/proc", "proc")])
def test_the_file_system_of_a_directory_is_known(directory: str, kind: str) -> None:
    assert place.file_system(Path(directory)) == kind
