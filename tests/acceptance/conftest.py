"""The agent as its users meet it: a directory of their own, the command line, and an agent that serves it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.register_assert_rewrite("tests.acceptance.home")

from tests.acceptance.home import Home  # noqa: E402 (only what is imported later is rewritten)


@pytest.fixture
def home(data_dir: Path) -> Iterator[Home]:
    """A directory with handlers, and nobody who serves it yet."""
    home = Home(data_dir)
    yield home
    home.close()


@pytest.fixture(scope="module")
def make_shared_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Home]]:
    """Makes a directory that the tests of a module share."""
    made: list[Home] = []

    def make() -> Home:
        made.append(Home(tmp_path_factory.mktemp("home")))
        return made[-1]

    yield make
    for home in made:
        home.close()
