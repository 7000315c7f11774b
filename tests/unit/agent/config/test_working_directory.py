"""A configuration that is read where the working directory is gone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.config import load
from agent.errors import ConfigError


@pytest.fixture
def here(tmp_path: Path) -> Path:
    return tmp_path


def test_a_working_directory_that_is_gone_is_reported(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = here / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    os.rmdir(gone)

    with pytest.raises(ConfigError, match=r"starts at the working directory, which is gone: change to another"):
        load(environ={})


def test_without_a_working_directory_absolute_paths_still_load(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "agent.yml").write_text("persistence: {db_path: /srv/state.db}\ntelemetry: {log_dir: /srv/logs}\n")
    gone = here / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    os.rmdir(gone)

    assert load(here / "agent.yml", environ={}).config.persistence.db_path == "/srv/state.db"
