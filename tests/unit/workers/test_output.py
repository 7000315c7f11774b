"""What handlers print, from a real worker's streams through a real pipe to a real descriptor."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from tests.support.waiting import until
from workers.output import ATOMIC, LONGEST_LINE, LineRelay, Outlet, capture


class Pipe(NamedTuple):
    """Both ends of a pipe."""

    read_end: int
    write_end: int


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe(*os.pipe())
    os.set_blocking(pipe.read_end, False)
    yield pipe
    os.close(pipe.read_end)
    os.close(pipe.write_end)


def _read(pipe: Pipe) -> bytes:
    found = b""
    while select.select([pipe.read_end], [], [], 0)[0] and (data := os.read(pipe.read_end, 65536)):
        found += data
    return found


def _relayed(pipe: Pipe, *chunks: bytes, task_now: int = 0) -> str:
    relay = LineRelay(pipe.write_end)
    for chunk in chunks:
        relay.feed(7, task_now, chunk)
    assert relay.dropped == 0
    return _read(pipe).decode()


def _fill(descriptor: int) -> None:
    os.set_blocking(descriptor, False)
    try:
        while True:
            os.write(descriptor, b"." * ATOMIC)
    except BlockingIOError:
        os.set_blocking(descriptor, True)


def _in_worker(main: Callable[[Outlet], None], pipe: Pipe, task: int = 42) -> int:
    """Runs `main` in a child whose streams are captured; its exit code."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.dup2(pipe.write_end, 1)
            os.dup2(pipe.write_end, 2)
            main(capture(lambda: task))
            sys.stdout.flush()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


# The worker's side


def test_each_line_is_tagged_with_the_task_that_printed_it(pipe: Pipe) -> None:
    def main(_: Outlet) -> None:
        print("one\ntwo")
        print("three", file=sys.stderr)
        sys.stdout.buffer.write(b"four\n")
        sys.stdout.buffer.flush()

    assert _in_worker(main, pipe) == 0
    assert _read(pipe) == b"".join(b"\x1e42\x1f%s\n" % line for line in (b"one", b"two", b"three", b"four"))


def test_a_line_printed_piece_by_piece_is_tagged_once(pipe: Pipe) -> None:
    def main(_: Outlet) -> None:
        print("10 %", end="\r", flush=True)
        print("100 %", flush=True)

    assert _in_worker(main, pipe) == 0
    assert _read(pipe) == b"\x1e42\x1f10 %\r100 %\n"


def test_a_character_that_cannot_be_encoded_is_no_error(pipe: Pipe) -> None:
    assert _in_worker(lambda _: print("ä \ud800"), pipe) == 0
    assert _read(pipe).decode() == "\x1e42\x1fä \\ud800\n"


def test_a_full_pipe_drops_and_counts_lines_and_blocks_nobody(pipe: Pipe) -> None:
    def main(outlet: Outlet) -> None:
        _fill(1)
        for n in range(1000):
            print(n)
        assert outlet.dropped == 1000
        _read(pipe)
        print("room again")
        assert outlet.dropped == 1000

    assert _in_worker(main, pipe) == 0
    assert _read(pipe) == b"\x1e42\x1froom again\n"


def test_a_long_line_that_is_cut_off_ends_where_the_next_begins(pipe: Pipe) -> None:
    def main(outlet: Outlet) -> None:
        print("x" * 3_000_000)
        assert outlet.dropped == 1
        os.write(1, _read(pipe)[:5000])
        print("short")

    assert _in_worker(main, pipe) == 0
    lines = _relayed(pipe, _read(pipe)).splitlines()
    assert lines == ["[task 42] " + "x" * 4996, "[task 42] short"]


def test_the_descriptors_stay_blocking_for_child_processes(pipe: Pipe) -> None:
    def main(_: Outlet) -> None:
        assert os.get_blocking(1)
        assert os.get_blocking(2)
        subprocess.run(["sh", "-c", "echo out; echo err >&2"], check=True)
        subprocess.run(["echo", "given"], stdout=sys.stdout, check=True)

    assert _in_worker(main, pipe) == 0
    assert _read(pipe) == b"out\nerr\ngiven\n"


def test_a_handler_that_closes_descriptors_may_print_on(pipe: Pipe) -> None:
    def main(outlet: Outlet) -> None:
        os.closerange(3, 256)
        print("still heard")
        os.closerange(3, 4096)
        print("not heard")
        assert outlet.dropped == 1

    assert _in_worker(main, pipe) == 0
    assert _read(pipe) == b"\x1e42\x1fstill heard\n"


def test_printing_to_a_supervisor_that_is_gone_is_no_error(pipe: Pipe) -> None:
    read_end, write_end = os.pipe()

    def main(outlet: Outlet) -> None:
        os.close(read_end)
        print("hello")
        assert outlet.dropped == 1

    parent_has = Pipe(read_end, write_end)
    child = os.fork()
    if child == 0:
        os._exit(_in_worker_after_closing(main, parent_has))
    os.close(read_end)
    os.close(write_end)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _in_worker_after_closing(main: Callable[[Outlet], None], pipe: Pipe) -> int:
    """`main` where nobody but the child itself holds the read end."""
    gate, opener = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(opener)
            os.dup2(pipe.write_end, 1)
            outlet = capture(lambda: 42)
            os.read(gate, 1)
            main(outlet)
            code = 0
        finally:
            os._exit(code)
    os.close(pipe.read_end)
    os.close(opener)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


# The supervisor's side


def test_lines_bear_the_task_of_their_tag_else_the_current_one_else_the_worker(pipe: Pipe) -> None:
    assert _relayed(pipe, b"\x1e42\x1fone\n", b"two\n", b"\x1e0\x1fthree\n", task_now=43) == (
        "[task 42] one\n[task 43] two\n[worker 0000000000000007] three\n"
    )
    assert _relayed(pipe, b"one\n") == "[worker 0000000000000007] one\n"


def test_a_line_in_pieces_is_put_together(pipe: Pipe) -> None:
    whole = b"\x1e42\x1fsome text\n\x1e43\x1fmore\n"
    for cut in range(len(whole)):
        assert _relayed(pipe, whole[:cut], whole[cut:]) == "[task 42] some text\n[task 43] more\n"


def test_pieces_of_two_workers_are_not_mixed_up(pipe: Pipe) -> None:
    relay = LineRelay(pipe.write_end)
    relay.feed(1, 0, b"a")
    relay.feed(2, 0, b"b")
    relay.feed(1, 0, b"A\n")
    relay.feed(2, 0, b"B\n")
    assert _read(pipe) == b"[worker 0000000000000001] aA\n[worker 0000000000000002] bB\n"


def test_the_last_line_of_a_worker_needs_no_end(pipe: Pipe) -> None:
    relay = LineRelay(pipe.write_end)
    relay.feed(7, 0, b"\x1e42\x1fcut sho")
    assert _read(pipe) == b""
    relay.finish(7)
    relay.finish(7)
    assert _read(pipe) == b"[task 42] cut sho\n"


def test_an_empty_line_stays_one(pipe: Pipe) -> None:
    assert _relayed(pipe, b"\x1e42\x1f\n\n") == "[task 42] \n[worker 0000000000000007] \n"


def test_a_record_separator_in_the_text_is_text(pipe: Pipe) -> None:
    assert _relayed(pipe, b"\x1e42\x1f\x1e{}\n") == "[task 42] \x1e{}\n"


def test_a_tag_with_more_digits_than_any_task_has_is_text(pipe: Pipe) -> None:
    assert _relayed(pipe, b"\x1e" + b"9" * 5000 + b"\x1fboo\n", task_now=1) == f"[task 1] \x1e{'9' * 5000}\x1fboo\n"


def test_a_long_line_is_broken_and_each_piece_bears_its_task(pipe: Pipe) -> None:
    text = b"a" * LONGEST_LINE + b"b" * LONGEST_LINE + b"c"
    expected = "".join(f"[task 42] {piece}\n" for piece in ("a" * LONGEST_LINE, "b" * LONGEST_LINE, "c"))
    assert _relayed(pipe, b"\x1e42\x1f" + text + b"\n") == expected
    chunks = [b"\x1e42\x1f", *(text[start : start + 1000] for start in range(0, len(text), 1000)), b"\n"]
    assert _relayed(pipe, *chunks) == expected


def test_a_line_without_an_end_takes_no_more_memory_than_a_long_line(pipe: Pipe) -> None:
    relay = LineRelay(pipe.write_end)
    for _ in range(1000):
        relay.feed(7, 0, b"x" * 1000)
        relay.feed(8, 0, b"\x1e42\x1f" * 200)
        assert all(len(partial) < 2 * LONGEST_LINE for partial in relay._partial.values())
        _read(pipe)


def test_what_finds_no_room_is_dropped_and_counted(pipe: Pipe) -> None:
    _fill(pipe.write_end)
    relay = LineRelay(pipe.write_end)
    relay.feed(7, 0, b"one\ntwo\nthree\n")
    assert relay.dropped == 3
    _read(pipe)
    relay.feed(7, 0, b"four\n")
    assert _read(pipe) == b"[worker 0000000000000007] four\n"
    assert relay.dropped == 3


def test_a_line_that_was_cut_off_does_not_swallow_the_next(pipe: Pipe) -> None:
    relay = LineRelay(pipe.write_end)
    _fill(pipe.write_end)
    os.read(pipe.read_end, ATOMIC)
    relay.feed(7, 0, b"x" * LONGEST_LINE + b"\n")
    assert relay.dropped == 1
    _read(pipe)
    relay.feed(7, 0, b"next\n")
    assert _read(pipe) == b"\n[worker 0000000000000007] next\n"


def test_many_lines_go_out_in_few_writes() -> None:
    import socket

    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    relay = LineRelay(ours.fileno())
    relay.feed(7, 0, b"line\n" * 400)
    theirs.setblocking(False)
    writes = []
    while len(b"".join(writes)) < 400 * len(b"[worker 0000000000000007] line\n"):
        writes.append(theirs.recv(2 * ATOMIC))
    assert max(map(len, writes)) <= ATOMIC
    assert len(writes) <= 5
    ours.close()
    theirs.close()


def test_a_reader_that_is_gone_stops_nothing() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    relay = LineRelay(write_end)
    relay.feed(7, 0, b"one\ntwo\n")
    assert relay.dropped == 2
    os.close(write_end)


def test_a_worker_in_flood_and_a_relay_lose_nothing_while_somebody_reads(pipe: Pipe) -> None:
    out = Pipe(*os.pipe())
    relay, seen = LineRelay(out.write_end), bytearray()
    child = os.fork()
    if child == 0:
        os.dup2(pipe.write_end, 1)
        outlet = capture(lambda: 42)
        for n in range(2000):
            before = outlet.dropped
            while print(n) or outlet.dropped > before:
                before = outlet.dropped
        os._exit(0)

    def is_complete() -> bool:
        if select.select([pipe.read_end], [], [], 0)[0]:
            relay.feed(7, 0, os.read(pipe.read_end, 1000))
        seen.extend(_read(out))
        return seen.count(b"\n") == 2000

    while not is_complete():
        select.select([pipe.read_end], [], [], 10)
    os.waitpid(child, 0)
    assert seen.decode().splitlines() == [f"[task 42] {n}" for n in range(2000)]
    assert relay.dropped == 0
    for descriptor in out:
        os.close(descriptor)
    until(lambda: _read(pipe) == b"")


def test_lines_of_many_tasks_in_one_block_bear_each_its_own(pipe: Pipe) -> None:
    lines = [b"\x1e%d\x1fdone\n" % number for number in range(1, 1001)]
    assert _relayed(pipe, b"".join(lines)) == "".join(f"[task {number}] done\n" for number in range(1, 1001))
