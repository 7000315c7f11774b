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


@pytest.fixture
def bell(tmp_path: Path) -> Iterator[Doorbell]:
    doorbell = Doorbell(tmp_path / "state.db.bell")
    yield doorbell
    doorbell.close()


def _is_readable(bell: Doorbell) -> bool:
    return bool(select.select([bell], [], [], 0)[0])


def test_a_ring_makes_the_bell_readable_until_it_is_drained(bell: Doorbell) -> None:
    assert not _is_readable(bell)
    assert not bell.drain()
    assert ring(bell.path)
    assert ring(bell.path, 3)
    assert _is_readable(bell)
    assert bell.drain() == [0, 3]
    assert not _is_readable(bell)
    assert bell.drain() == []


@pytest.mark.parametrize("tasks", [0, 1, MOST_TOLD, MOST_TOLD + 1, 10**9])
def test_a_ring_tells_how_many_tasks_are_new(bell: Doorbell, tasks: int) -> None:
    assert ring(bell.path, tasks)
    assert bell.drain() == [min(tasks, MOST_TOLD)]


@pytest.mark.parametrize("datagram", [b"", b"\0", b"!" * 5000])
def test_whatever_somebody_sends_is_a_ring(bell: Doorbell, datagram: bytes) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
        stranger.sendto(datagram, str(bell.path))
    assert bell.drain() == [int.from_bytes(datagram[:1])]


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
    assert bell.drain()
    bell.close()


def test_closing_leaves_the_bell_of_a_successor(tmp_path: Path) -> None:
    first = Doorbell(tmp_path / "bell")
    second = Doorbell(tmp_path / "bell")
    first.close()
    assert ring(second.path)
    assert second.drain()
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
    while bell.drain():
        pass
    assert not _is_readable(bell)


def test_paths_of_any_length_can_be_rung(tmp_path: Path) -> None:
    deep = tmp_path
    while len(str(deep)) < 300:
        deep = deep / ("d" * 60)
    deep.mkdir(parents=True)
    for name in ("bell", "n" * 240):
        bell = Doorbell(deep / name)
        descriptors = len(os.listdir("/proc/self/fd"))
        assert ring(deep / name)
        assert bell.drain()
        assert len(os.listdir("/proc/self/fd")) == descriptors
        bell.close()
        assert not os.listdir(deep)


def test_a_relative_path_means_the_same_bell_for_both(data_dir: Path) -> None:
    bell = Doorbell("bell")
    assert ring(data_dir / "bell")
    assert bell.drain()
    (data_dir / "elsewhere").mkdir()
    os.chdir("elsewhere")
    assert not ring("bell")
    bell.close()
    assert os.listdir(data_dir) == ["elsewhere"]


def test_a_forked_child_rings_too(bell: Doorbell) -> None:
    assert ring(bell.path)
    assert bell.drain()
    child = os.fork()
    if child == 0:
        os._exit(0 if ring(bell.path) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert bell.drain()


def test_a_process_whose_descriptors_were_closed_rings_again(bell: Doorbell) -> None:
    child = os.fork()
    if child == 0:
        ring(bell.path)
        os.closerange(3, 1024)
        ring(bell.path)
        os._exit(0 if ring(bell.path) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
