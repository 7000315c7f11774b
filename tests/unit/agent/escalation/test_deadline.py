"""One bound for a whole conversation."""

from __future__ import annotations

import socket
import threading

import pytest

from agent.escalation.deadline import Deadline, within


def test_the_result_is_handed_over() -> None:
    assert within(5, lambda _: "said") == "said"


def test_an_error_is_raised_where_the_result_is_waited_for() -> None:
    def fail(_: Deadline) -> None:
        raise KeyError("name")

    with pytest.raises(KeyError, match="name"):
        within(5, fail)


def test_a_conversation_that_hangs_outside_of_any_socket_is_left() -> None:
    release, late = threading.Event(), []

    def look_up_a_name(deadline: Deadline) -> None:
        release.wait(10)
        try:
            deadline.left()
        except TimeoutError as error:
            late.append(error)
        done.set()

    done = threading.Event()
    with pytest.raises(TimeoutError, match=r"within 0\.05 s"):
        within(0.05, look_up_a_name)
    release.set()
    assert done.wait(5)
    assert late, "what comes back too late must not go on to send"


def test_whoever_waits_for_the_socket_is_woken() -> None:
    ours, theirs = socket.socketpair()
    received: list[bytes] = []
    done = threading.Event()

    def wait(deadline: Deadline) -> None:
        deadline.watch(lambda: ours)
        received.append(ours.recv(1))
        done.set()

    with ours, theirs:
        with pytest.raises(TimeoutError):
            within(0.05, wait)
        assert done.wait(5)
    assert received == [b""]
