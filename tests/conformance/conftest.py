"""Every statement of the suite that asks for a `scene` is made about each backend."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.register_assert_rewrite("tests.conformance.scene", "tests.conformance.model")

from tests.conformance.backends import BACKENDS, Backend  # noqa: E402 (only what is imported later is rewritten)
from tests.conformance.scene import Scene  # noqa: E402


@pytest.fixture(params=BACKENDS.values(), ids=BACKENDS.keys())
def backend(request: pytest.FixtureRequest) -> Backend:
    """Each kind of store."""
    found: Backend = request.param
    return found


@pytest.fixture
def scene(backend: Backend, tmp_path: Path) -> Iterator[Scene]:
    """A new store; at the end of the test its counts are compared with its rows."""
    scene = Scene(backend, tmp_path)
    yield scene
    scene.close()
