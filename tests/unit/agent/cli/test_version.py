"""Which version this is, with a checkout and without."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest

from agent.cli import version as module
from agent.cli.version import version


def test_the_checkout_says_its_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    setup = tmp_path / "setup.cfg"
    setup.write_text("[metadata]\nname = sanaagent\nversion = 7.8.9\n")
    monkeypatch.setattr(module, "SETUP", setup)

    assert version() == "7.8.9"


def test_beside_another_project_the_installed_package_says_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    setup = tmp_path / "setup.cfg"
    setup.write_text("[metadata]\nname = other\nversion = 7.8.9\n")
    monkeypatch.setattr(module, "SETUP", setup)
    monkeypatch.setattr(module, "PACKAGE", "click")

    assert version() == importlib.metadata.version("click")
