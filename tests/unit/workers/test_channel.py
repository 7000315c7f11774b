"""Messages and descriptors between two ends, and between two processes."""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Iterator

import pytest

from workers.channel import LARGEST_PACKET, MOST_DESCRIPTORS, MOST_QUEUED, Channel, PeerGone

Pair = tuple[Channel, Channel]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = Channel.pair()
    yield ours, theirs
    ours.close()
    theirs.close()


def _descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


def _is_readable(channel: Channel) -> bool:
    return bool(select.select([channel], [], [], 0)[0])


def _fill(channel: Channel) -> int:
    """Sends until a message has to wait; how many there were."""
    sent = 0
    while not channel.wants_write:
        assert channel.send({"n": sent, "text": "x" * 1000})
        sent += 1
    return sent


def _next(channel: Channel) -> dict[str, object]:
    received = channel.receive()
    assert received is not None
    return received[0]


def test_messages_arrive_whole_and_in_order(pair: Pair) -> None:
    ours, theirs = pair
    messages = [{"op": "fork", "worker": 2**63 - 1}, {}, {"text": "ä\x00\n" * 100, "list": [1, None, True, 0.5]}]
    for message in messages:
        assert ours.send(message)
    assert [theirs.receive() for _ in messages] == [(message, []) for message in messages]
    assert theirs.receive() is None


def test_both_ends_speak(pair: Pair) -> None:
    ours, theirs = pair
    assert ours.send({"a": 1})
    assert theirs.send({"b": 2})
    assert theirs.receive() == ({"a": 1}, [])
    assert ours.receive() == ({"b": 2}, [])


def test_an_end_is_readable_while_a_message_is_there(pair: Pair) -> None:
    ours, theirs = pair
    assert not _is_readable(theirs)
    ours.send({})
    assert _is_readable(theirs)
    theirs.receive()
    assert not _is_readable(theirs)


def test_descriptors_travel_and_close_on_exec(pair: Pair) -> None:
    ours, theirs = pair
    read_end, write_end = os.pipe()
    assert ours.send({"op": "here"}, [write_end])
    os.close(write_end)
    received = theirs.receive()
    assert received is not None
    message, (passed,) = received
    assert message == {"op": "here"}
    assert not os.get_inheritable(passed)
    os.write(passed, b"through")
    os.close(passed)
    assert os.read(read_end, 100) == b"through"
    assert os.read(read_end, 100) == b"", "no copy is left behind"
    os.close(read_end)


def test_more_descriptors_than_a_message_carries_are_refused(pair: Pair) -> None:
    ours, theirs = pair
    assert ours.send({}, [0] * MOST_DESCRIPTORS)
    received = theirs.receive()
    assert received is not None
    assert len(received[1]) == MOST_DESCRIPTORS
    for passed in received[1]:
        os.close(passed)
    with pytest.raises(ValueError, match="at most 16 descriptors, not 17"):
        ours.send({}, [0] * (MOST_DESCRIPTORS + 1))


@pytest.mark.parametrize("size", [LARGEST_PACKET - 20, LARGEST_PACKET + 1, 5_000_000])
def test_a_message_of_any_size_arrives_with_its_descriptors(pair: Pair, size: int) -> None:
    ours, theirs = pair
    before = _descriptors()
    assert ours.send({"text": "x" * size}, [0, 1])
    received = theirs.receive()
    assert received is not None
    message, passed = received
    assert message == {"text": "x" * size}
    assert len(passed) == 2
    for descriptor in passed:
        os.close(descriptor)
    assert _descriptors() == before


def test_what_finds_no_room_waits_in_order_and_holds_up_nobody(pair: Pair) -> None:
    ours, theirs = pair
    sent = _fill(ours)
    assert ours.send({"n": sent})
    assert ours.flush(), "no room is no end"
    assert ours.wants_write
    seen: list[object] = []
    while len(seen) <= sent:
        while received := theirs.receive():
            seen.append(received[0]["n"])
        assert ours.flush()
    assert seen == list(range(sent + 1))
    assert not ours.wants_write


def test_descriptors_of_a_message_that_waits_may_be_closed(pair: Pair) -> None:
    ours, theirs = pair
    sent, (read_end, write_end) = _fill(ours), os.pipe()
    assert ours.send({"op": "late"}, [write_end])
    os.close(write_end)
    for _ in range(sent):
        theirs.receive()
        ours.flush()
    received = theirs.receive()
    assert received is not None
    os.write(received[1][0], b"x")
    os.close(received[1][0])
    assert os.read(read_end, 2) == b"x"
    assert os.read(read_end, 2) == b""
    os.close(read_end)


def test_a_peer_that_reads_nothing_counts_as_gone_in_the_end(pair: Pair) -> None:
    ours, _ = pair
    _fill(ours)
    accepted = 0
    while ours.send({}, [0]):
        accepted += 1
    assert accepted == MOST_QUEUED - 1
    before = len(_descriptors())
    ours.close()
    assert len(_descriptors()) == before - accepted - 1, "what waited is let go of"


def test_the_end_comes_after_the_last_message(pair: Pair) -> None:
    ours, theirs = pair
    ours.send({"op": "bye"})
    ours.close()
    assert _next(theirs) == {"op": "bye"}
    for _ in range(2):
        with pytest.raises(PeerGone):
            theirs.receive()
    assert not theirs.send({})


def test_the_last_message_of_a_peer_that_left_ours_unread_is_not_lost(pair: Pair) -> None:
    ours, theirs = pair
    theirs.send({"unread": True})
    ours.send({"op": "exited"})
    ours.close()
    assert _next(theirs) == {"op": "exited"}
    with pytest.raises(PeerGone):
        theirs.receive()


def test_what_waits_is_dropped_once_the_peer_is_gone(pair: Pair) -> None:
    ours, theirs = pair
    _fill(ours)
    theirs.close()
    assert not ours.flush()
    assert not ours.wants_write
    assert not ours.send({})


def test_waiting_ends_with_a_message_with_the_end_or_with_the_time(pair: Pair) -> None:
    ours, theirs = pair
    assert theirs.receive_wait(0.01) is None
    child = os.fork()
    if child == 0:
        theirs.close()
        ours.send({"from": "child"})
        os._exit(0)
    ours.close()
    assert theirs.receive_wait() == ({"from": "child"}, [])
    with pytest.raises(PeerGone):
        theirs.receive_wait(10)
    os.waitpid(child, 0)


@pytest.mark.parametrize("noise", [b"hello", b"[1]", b"{", b"\xff", b"\x00", b"{}" * LARGEST_PACKET])
def test_noise_is_taken_for_the_end(noise: bytes) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    channel = Channel(theirs)
    before = _descriptors()
    ours.sendmsg([noise], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, (1).to_bytes(4, "little"))])
    with pytest.raises(PeerGone):
        channel.receive()
    assert _descriptors() == before, "descriptors that came along are closed"
    ours.close()
    channel.close()


def test_no_descriptor_of_a_channel_survives_exec(pair: Pair) -> None:
    assert not any(os.get_inheritable(end.fileno()) for end in pair)


def test_a_detached_socket_lives_on(pair: Pair) -> None:
    ours, theirs = Channel.pair()
    again = Channel(ours.detach())
    assert again.send({"n": 1})
    assert theirs.receive() == ({"n": 1}, [])
    again.close()
    theirs.close()
