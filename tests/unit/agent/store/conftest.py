"""A database as it is made, open to be read."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agent.store import open_store
from agent.store.connection import Connection


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    path = tmp_path_factory.mktemp("store") / "state.db"
    open_store(path).close()
    connection = Connection(path, None, read_only=True)
    yield connection
    connection.close()
