"""Code newer than ours: a copy of it with two more migrations, the second of which notes how it found all tasks.

The notes are made in the upgrade's own transaction, so whatever differs from them was written afterwards.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from agent.store.migrations import steps
from campaign.processes import CHECKOUT, MAIN

OURS = len(steps())
MORE = {
    "a_column": "ALTER TABLE task ADD COLUMN newer INTEGER NOT NULL DEFAULT 0;",
    "notes": "CREATE TABLE noted AS SELECT id, state, attempt, claims, worker FROM task;",
}
NEWER = OURS + len(MORE)
STANDING = "SELECT id, state, attempt, claims, worker FROM task ORDER BY id"
NOTED = "SELECT id, state, attempt, claims, worker FROM noted ORDER BY id"

# As one whose lock is another than ours: a version so new that it does not heed us, or somebody who took the lock away.
UPGRADE_UNLOCKED = """\
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from agent.store import locks, open_store
locks.SupervisorLock.acquire = lambda lock: None
open_store(Path(sys.argv[2]), supervises=True).close()
"""


def make_newer(directory: Path) -> Path:
    """The newer code in a directory that is not there yet; what is called to run it."""
    for name in ("agent", "workers"):
        shutil.copytree(CHECKOUT / name, directory / name)  # with what is compiled: it counts by time and size
    for path in CHECKOUT.glob("*.py"):
        shutil.copy2(path, directory)
    for number, (name, text) in enumerate(MORE.items(), OURS + 1):
        migration = directory / "agent" / "store" / "sql" / "migrations" / f"{number:04}_{name}.sql"
        migration.write_text(f"{text}\n", "utf-8")
    return directory / MAIN.name
