"""A fresh checkout: what a newcomer has after `git clone`, without what tests and runs leave behind."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.support.processes import CHECKOUT

PRODUCT = (
    "agent", "workers", "supervisor.py", "enhanced_automation_agent.py", "config.yml", "setup.cfg", "pyproject.toml",
    "requirements.txt", "examples", "scripts", "README.md", "docs",
)  # fmt: skip


def fresh_checkout(directory: Path) -> Path:
    """A copy of the product in a directory below this one."""
    copy = directory / "checkout"
    copy.mkdir()
    for name in PRODUCT:
        source = CHECKOUT / name
        if source.is_dir():
            shutil.copytree(source, copy / name)
        else:
            shutil.copy2(source, copy / name)
    return copy
