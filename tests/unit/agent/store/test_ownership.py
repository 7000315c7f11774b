"""What root makes beside a database belongs to whom the database belongs: root's look at it shuts nobody out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory

import pytest

from agent import private
from agent.errors import StoreError
from agent.private import make_directory, make_file
from agent.store import migrations, open_store
from agent.store.locks import run_directory
from agent.task import NewTask

OWNER, GROUP = 65534, 54321

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make things for others")


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory of somebody else's, which he can reach."""
    with TemporaryDirectory() as directory:
        os.chown(directory, OWNER, GROUP)
        yield Path(directory)


def use(path: Path) -> None:
    """What commands do with a database: look, write, ask who supervises."""
    store = open_store(path)
    store.supervisor_pid()
    store.tasks.enqueue([NewTask("demo", "{}")], 1)
    store.tasks.totals()
    store.close()


def as_owner(deed: Callable[[], object]) -> str:
    """Do it as the directory's owner, in a process of its own; the error it ends with, if any."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        try:
            os.setegid(GROUP)
            os.seteuid(OWNER)
            deed()
        except Exception as error:
            os.write(writer, f"{type(error).__name__}: {error}".encode())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader) as told:
        text = told.read()
    os.wait()
    return text


def owners(directory: Path) -> dict[str, tuple[int, int]]:
    return {
        str(each.relative_to(directory)): (each.lstat().st_uid, each.lstat().st_gid) for each in directory.rglob("*")
    }


def test_a_database_that_root_makes_belongs_to_the_owner_of_its_directory(place: Path) -> None:
    use(place / "state.db")
    found = owners(place)
    assert {"state.db", "state.db.run", "state.db.run/write.lock", "state.db.run/supervisor.lock"} <= found.keys()
    assert set(found.values()) == {(OWNER, GROUP)}
    assert as_owner(lambda: use(place / "state.db")) == ""


def test_what_root_makes_beside_a_database_belongs_to_the_databases_owner(place: Path) -> None:
    path = place / "state.db"
    assert as_owner(lambda: open_store(path).close()) == ""
    rmtree(run_directory(path))
    os.chown(place, 0, 0)
    place.chmod(0o755)
    store = open_store(path)
    store.supervisor_pid()
    store.tasks.enqueue([NewTask("demo", "{}")], 1)
    assert {"state.db-wal", "state.db-shm", "state.db.run/write.lock"} <= owners(place).keys()
    assert set(owners(place).values()) == {(OWNER, GROUP)}
    store.close()


def test_a_service_serves_on_after_a_command_of_roots(place: Path) -> None:
    path = place / "state.db"
    assert as_owner(lambda: open_store(path).close()) == ""
    rmtree(run_directory(path))
    use(path)
    assert as_owner(lambda: open_store(path, supervises=True).close()) == ""


def test_the_copy_before_an_upgrade_belongs_to_the_databases_owner(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = place / "state.db"
    use(path)
    steps = [*migrations.steps(), "CREATE TABLE added (n INTEGER) STRICT"]
    monkeypatch.setattr(migrations, "steps", lambda: steps)
    monkeypatch.setenv("SUDO_UID", str(OWNER))
    open_store(path, supervises=True).close()
    assert owners(place)[f"state.db.before-schema-{len(steps)}"] == (OWNER, GROUP)


def test_whom_roots_run_directory_shuts_out_is_told_whose_it_is_and_the_cure(place: Path) -> None:
    path = place / "state.db"
    use(path)
    for each in (run_directory(path), *run_directory(path).iterdir()):
        os.chown(each, 0, 0)
    told = as_owner(lambda: use(path))
    assert told.startswith(f"StoreError: {run_directory(path)} belongs to user 0 and is closed to user {OWNER}: ")
    assert told.endswith("(chown -R)")
    os.chown(run_directory(path), OWNER, GROUP)
    assert "supervisor.lock belongs to user 0" in as_owner(lambda: use(path))


def test_a_directory_that_was_put_in_the_place_of_the_one_just_made_is_not_given_away(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = place / "secret"
    secret.mkdir(0o700)
    (secret / "key").write_text("root's")
    original = os.mkdir

    def swapped(name: str, mode: int, dir_fd: int) -> None:
        original(name, mode, dir_fd=dir_fd)
        os.rename(name, "aside", src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
        os.rename("secret", name, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)

    monkeypatch.setattr(private.os, "mkdir", swapped)
    make_directory(place / "state.db.run")
    assert owners(place)["state.db.run"] == (0, 0)


def test_a_link_in_the_place_of_what_was_just_made_is_not_followed(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = os.mkdir

    def swapped(name: str, mode: int, dir_fd: int) -> None:
        original(name, mode, dir_fd=dir_fd)
        os.rmdir(name, dir_fd=dir_fd)
        os.symlink(tmp_path, name, dir_fd=dir_fd)

    monkeypatch.setattr(private.os, "mkdir", swapped)
    with pytest.raises(StoreError, match="cannot make"):
        run_directory(place / "state.db")
    assert tmp_path.stat().st_uid == 0


def test_the_owner_is_not_taken_from_what_a_link_leads_to(place: Path, tmp_path: Path) -> None:
    (tmp_path / "theirs").touch()
    os.chown(tmp_path / "theirs", OWNER, GROUP)
    (tmp_path / "state.db").symlink_to("theirs")
    os.close(make_file(tmp_path / "made", beside="state.db"))
    assert owners(tmp_path)["made"] == (0, 0)
