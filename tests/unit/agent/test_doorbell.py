"""The doorbell, rung for real."""

from __future__ import annotations

import os
import select
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.doorbell import MOST_TOLD, Doorbell, ring
from agent.errors import Unavailable

QUIET = (0, True)


@pytest.fixture
def bell(tmp_path: Path) -> Iterator[Doorbell]:
    doorbell = Doorbell(tmp_path / "state.db.bell")
    yield doorbell
    doorbell.close()


def _is_readable(bell: Doorbell) -> bool:
    return bool(select.select([bell], [], [], 0)[0])


def test_a_ring_makes_the_bell_readable_until_it_is_drained(bell: Doorbell) -> None:
    assert not _is_readable(bell)
    assert bell.drain() == QUIET
    assert ring(bell.path)
    assert ring(bell.path, 3)
    assert _is_readable(bell)
    assert bell.drain() == (3, False)
    assert not _is_readable(bell)
    assert bell.drain() == QUIET


@pytest.mark.parametrize(
    ("rings", "told"),
    [
        pytest.param([1], (1, True), id="a task that comes alone"),
        pytest.param([MOST_TOLD], (MOST_TOLD, True), id="many at once"),
        pytest.param([MOST_TOLD + 1], (0, False), id="more than a byte tells"),
        pytest.param([10**9], (0, False), id="many more"),
        pytest.param([0], (0, False), id="something else"),
        pytest.param([1, 1], (2, False), id="of several rings some may be lost"),
        pytest.param([1, 0, 4], (5, False), id="tasks and something else"),
    ],
)
def test_rings_tell_how_many_tasks_are_new_and_whether_that_is_all(
    bell: Doorbell, rings: list[int], told: tuple[int, bool]
) -> None:
    for tasks in rings:
        assert ring(bell.path, tasks)
    assert bell.drain() == told


@pytest.mark.parametrize(("datagram", "told"), [(b"", (0, False)), (b"\0", (0, False)), (b"!" * 5000, (33, True))])
def test_whatever_somebody_sends_is_a_ring(bell: Doorbell, datagram: bytes, told: tuple[int, bool]) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
        stranger.sendto(datagram, str(bell.path))
    assert bell.drain() == told


def test_the_socket_is_its_owners_alone(bell: Doorbell) -> None:
    assert stat.S_IMODE(bell.path.lstat().st_mode) == 0o600


def test_nobody_hears_a_ring_where_no_bell_hangs(tmp_path: Path) -> None:
    assert not ring(tmp_path / "state.db.bell")
    assert not ring(tmp_path / "missing" / "state.db.bell")


def test_nobody_hears_a_ring_once_the_bell_is_closed(tmp_path: Path) -> None:
    bell = Doorbell(tmp_path / "bell")
    bell.close()
    assert not ring(bell.path)
    assert not bell.path.exists()


def test_a_new_bell_takes_the_place_of_one_whose_owner_died(tmp_path: Path) -> None:
    path = tmp_path / "bell"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as left_behind:
        left_behind.bind(str(path))
    assert not ring(path)
    bell = Doorbell(path)
    assert ring(path)
    assert bell.drain() != QUIET
    bell.close()


def test_closing_leaves_the_bell_of_a_successor(tmp_path: Path) -> None:
    first = Doorbell(tmp_path / "bell")
    second = Doorbell(tmp_path / "bell")
    first.close()
    assert ring(second.path)
    assert second.drain() != QUIET
    second.close()


def test_a_file_that_is_no_socket_is_left_alone_and_named(tmp_path: Path) -> None:
    path = tmp_path / "bell"
    path.write_text("precious")
    with pytest.raises(Unavailable, match=r"bell is not a socket of ours: move it away"):
        Doorbell(path)
    assert path.read_text() == "precious"


def test_a_directory_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="missing/bell"):
        Doorbell(tmp_path / "missing" / "bell")


def test_a_full_bell_counts_as_rung_and_holds_up_nobody(bell: Doorbell) -> None:
    assert all(ring(bell.path) for _ in range(2000))
    assert not bell.drain()[1], "somebody was not heard"
    assert not _is_readable(bell)


def test_paths_of_any_length_can_be_rung(tmp_path: Path) -> None:
    deep = tmp_path
    while len(str(deep)) < 300:
        deep = deep / ("d" * 60)
    deep.mkdir(parents=True)
    ring(deep / "bell")  # whoever rings keeps the socket that he rings with
    for name in ("bell", "n" * 240):
        bell = Doorbell(deep / name)
        descriptors = len(os.listdir("/proc/self/fd"))
        assert ring(deep / name)
        assert bell.drain() != QUIET
        assert len(os.listdir("/proc/self/fd")) == descriptors
        bell.close()
        assert not os.listdir(deep)


def test_a_relative_path_means_the_same_bell_for_both(data_dir: Path) -> None:
    bell = Doorbell("bell")
    assert ring(data_dir / "bell")
    assert bell.drain() != QUIET
    (data_dir / "elsewhere").mkdir()
    os.chdir("elsewhere")
    assert not ring("bell")
    bell.close()
    assert os.listdir(data_dir) == ["elsewhere"]


def test_a_forked_child_rings_too(bell: Doorbell) -> None:
    assert ring(bell.path)
    assert bell.drain() != QUIET
    child = os.fork()
    if child == 0:
        os._exit(0 if ring(bell.path) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert bell.drain() != QUIET


def test_a_process_whose_descriptors_were_closed_rings_again(bell: Doorbell) -> None:
    child = os.fork()
    if child == 0:
        ring(bell.path)
        os.closerange(3, 1024)
        ring(bell.path)
        os._exit(0 if ring(bell.path) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
