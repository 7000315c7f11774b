"""Do versions and restored backups lose anything: old code on a newer schema, upgrades cut short, backups put back?"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from campaign.handover import come_from_behind, hand_over
from campaign.newer import make_newer
from campaign.restores import WAYS, clone, restore
from campaign.run import Report, Run, total
from campaign.upgrades import cut_short

ROUNDS = 5


def run(run: Run) -> Report:
    """One round: every scene; in a short one, one of each kind."""
    newer = make_newer(run.directory / "newer")
    comings = [hand_over, come_from_behind]
    backups: list[Callable[[Run], Report]] = [*(partial(restore, way=way) for way in WAYS), clone]
    if run.is_short:
        comings = [run.rng("comings").choice(comings)]
        backups = [run.rng("backups").choice(backups)]
    upgrades = [scene(run, newer) for scene in (*comings, cut_short)]
    return total([*upgrades, *(scene(run) for scene in backups)])
