"""Threads that handlers leave behind: told apart by what they do where no handler runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from tests.support.waiting import until
from workers.strangers import MOST, Strangers


class Handlers:
    """They leave threads behind, which end with the test."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self._threads: list[threading.Thread] = []

    def leave(self, run: Callable[[], object]) -> None:
        self._threads.append(threading.Thread(target=run))
        self._threads[-1].start()

    def work(self) -> None:
        while not self.over.is_set():
            sum(range(1000))

    def sleep(self) -> None:
        self.over.wait()

    def end(self) -> None:
        self.over.set()
        for thread in self._threads:
            thread.join()


@pytest.fixture
def handlers() -> Iterator[Handlers]:
    handlers = Handlers()
    yield handlers
    handlers.end()


def test_a_new_thread_that_does_nothing_but_work_is_found_out_at_the_first_look(handlers: Handlers) -> None:
    strangers, why = Strangers(), ""
    for _ in range(8):  # a busy machine may give such a thread no time: then it is the next one's turn
        handlers.leave(handlers.work)
        if why := strangers.look():
            break
    assert "work on" in why


def test_threads_that_sleep_are_left_alone(handlers: Handlers) -> None:
    strangers = Strangers()
    for _ in range(MOST):
        handlers.leave(handlers.sleep)
    assert strangers.look() == ""
    assert strangers.watch() == ""


def test_so_is_a_thread_that_sleeps_most_of_the_time(handlers: Handlers) -> None:
    strangers = Strangers()

    def work_a_little() -> None:
        while not handlers.over.wait(0.01):
            sum(range(100))

    handlers.leave(work_a_little)
    assert strangers.look() == ""


def test_too_many_are_too_many_though_they_sleep(handlers: Handlers) -> None:
    strangers = Strangers()
    for _ in range(MOST + 1):
        handlers.leave(handlers.sleep)
    assert f"{MOST + 1} threads" in strangers.look()


def test_a_thread_that_begins_to_work_later_is_found_out_between_chunks(handlers: Handlers) -> None:
    strangers, go = Strangers(), threading.Event()

    def work_when_told() -> None:
        go.wait()
        handlers.work()

    handlers.leave(work_when_told)
    assert strangers.look() == ""
    go.set()

    assert "work on" in until(lambda: strangers.watch() or strangers.look(), what="the thread to be found out")
