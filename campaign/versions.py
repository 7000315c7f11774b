"""Do versions and restored backups lose anything: old code on a newer schema, upgrades cut short, backups put back?"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from campaign.handover import hand_over
from campaign.newer import make_newer
from campaign.restores import WAYS, clone, restore
from campaign.run import Report, Run, total
from campaign.upgrades import cut_short

ROUNDS = 5


def run(run: Run) -> Report:
    """One round: every scene; in a short one, one of those with a backup."""
    newer = make_newer(run.directory / "newer")
    backups: list[Callable[[Run], Report]] = [*(partial(restore, way=way) for way in WAYS), clone]
    if run.is_short:
        backups = [run.rng("backups").choice(backups)]
    return total([hand_over(run, newer), cut_short(run, newer), *(scene(run) for scene in backups)])
