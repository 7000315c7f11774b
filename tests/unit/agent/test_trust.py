"""Which files root may obey. Who runs the tests stands for root; `STRANGER` for whoever is not trusted."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent import trust
from agent.trust import distrust, flaw, takes_new_files

US = os.geteuid()
STRANGER = 12345
ROOT_AND_US = {0, US}
as_root = pytest.mark.skipif(US != 0, reason="only root can be somebody else")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    place = tmp_path / "place"
    place.mkdir(mode=0o755)
    path = place / "handlers.py"
    path.write_text("")
    path.chmod(0o644)
    return path


@pytest.mark.parametrize("mode", [0o644, 0o600, 0o664, 0o770])
def test_a_file_that_not_everybody_may_write_is_good(file: Path, mode: int) -> None:
    file.chmod(mode)
    assert flaw(file, ROOT_AND_US) is None


@pytest.mark.parametrize("mode", [0o666, 0o602, 0o777])
def test_a_file_that_everybody_may_write_is_not(file: Path, mode: int) -> None:
    file.chmod(mode)
    assert flaw(file, ROOT_AND_US) == f"anybody may write {file}: take that right away (chmod o-w)"


def test_nor_is_one_that_everybody_may_replace(file: Path) -> None:
    file.parent.chmod(0o757)
    assert flaw(file, ROOT_AND_US) == f"anybody may write {file.parent}: take that right away (chmod o-w)"


def test_nobody_replaces_a_file_in_a_sticky_directory(file: Path) -> None:
    file.parent.chmod(0o1777)
    assert flaw(file, ROOT_AND_US) is None


def test_a_file_that_is_still_to_be_made_is_judged_by_its_directory(file: Path) -> None:
    assert flaw(file.with_name("other"), ROOT_AND_US) is None
    file.parent.chmod(0o777)
    assert "anybody may write" in str(flaw(file.with_name("other"), ROOT_AND_US))


@as_root
@pytest.mark.parametrize("what", ["file", "directory", "link"])
def test_a_file_of_a_stranger_is_not_good_nor_one_in_his_directory_nor_where_his_link_leads(
    file: Path, tmp_path: Path, what: str
) -> None:
    link = tmp_path / "link.py"
    link.symlink_to(file)
    strangers = {"file": file, "directory": file.parent, "link": link}[what]
    os.chown(strangers, STRANGER, STRANGER, follow_symlinks=False)
    for path in (link, file) if what != "link" else (link,):
        assert str(flaw(path, ROOT_AND_US)).startswith(f"{strangers} belongs to user {STRANGER}: ")


def test_a_link_is_followed_to_its_end(file: Path, tmp_path: Path) -> None:
    (tmp_path / "second.py").symlink_to(file)
    (tmp_path / "first.py").symlink_to("./second.py")
    assert flaw(tmp_path / "first.py", ROOT_AND_US) is None
    file.chmod(0o666)
    assert str(flaw(tmp_path / "first.py", ROOT_AND_US)).startswith(f"anybody may write {file}")


def test_a_link_is_good_only_where_nobody_can_replace_it(file: Path, tmp_path: Path) -> None:
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    (open_to_all / "link.py").symlink_to(file)
    assert str(flaw(open_to_all / "link.py", ROOT_AND_US)).startswith(f"anybody may write {open_to_all}")


def test_links_that_lead_in_a_circle_come_to_an_end(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert flaw(tmp_path / "a", ROOT_AND_US) is None


def test_a_module_in_an_archive_is_judged_by_the_archive(file: Path) -> None:
    file.chmod(0o666)
    assert flaw(file / "package" / "module.py", ROOT_AND_US) == flaw(file, ROOT_AND_US)
    assert flaw(file, ROOT_AND_US) is not None


def test_a_device_that_keeps_nothing_is_good() -> None:
    assert flaw(Path("/dev/null"), ROOT_AND_US) is None


def test_what_is_missing_is_for_others_to_complain_of(tmp_path: Path) -> None:
    assert flaw(tmp_path / "missing" / "file", ROOT_AND_US) is None


@as_root
def test_where_the_mount_is_read_only_nobody_writes_whatever_the_mode_says(file: Path) -> None:
    """As in a container whose configuration is mounted: such directories are 0777."""
    file.parent.chmod(0o777)
    file.chmod(0o666)
    script = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && exec "$2" -c "$3" "$1/handlers.py"'
    program = "import sys, pathlib, agent.trust; print(agent.trust.distrust(pathlib.Path(sys.argv[1])))"
    words = ["unshare", "--mount", "sh", "-c", script, "sh", str(file.parent), sys.executable, program]
    done = subprocess.run(words, cwd=trust.__file__.rsplit("/", 2)[0], check=True, capture_output=True, text=True)
    assert done.stdout == "None\n"
    assert distrust(file) is not None


def test_nobody_but_root_is_refused_anything(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.chmod(0o666)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert distrust(file) is None
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert distrust(file) is not None


def test_root_trusts_who_called_sudo_and_who_owns_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    program = os.stat(trust.__file__).st_uid
    assert trust.trusted_owners() == {0, program}
    monkeypatch.setenv("SUDO_UID", str(STRANGER))
    assert trust.trusted_owners() == {0, program, STRANGER}
    monkeypatch.setenv("SUDO_UID", "-1; rm")
    assert trust.trusted_owners() == {0, program}


@pytest.mark.parametrize(("mode", "takes"), [(0o755, False), (0o775, False), (0o1777, True), (0o777, True)])
def test_root_knows_where_others_may_put_new_files(
    file: Path, monkeypatch: pytest.MonkeyPatch, mode: int, takes: bool
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    file.parent.chmod(mode)
    monkeypatch.setattr(trust, "trusted_owners", lambda: frozenset(ROOT_AND_US))
    assert takes_new_files(file.parent) is takes


def test_what_starts_at_a_working_directory_that_is_gone_is_nobodys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (gone := tmp_path / "gone").mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()

    assert "the working directory, which is gone" in str(flaw(Path("../config.yml"), {os.geteuid()}))
