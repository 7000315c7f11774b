"""Do versions and restored backups lose anything: old code on a newer schema, upgrades cut short, backups put back?"""

from __future__ import annotations

from pathlib import Path

from campaign.handover import come_from_behind, hand_over
from campaign.newer import make_newer
from campaign.restores import WAYS, clone, restore
from campaign.run import Report, Run, total
from campaign.upgrades import cut_short

ROUNDS = 5
COMINGS = {"handed over": hand_over, "come from behind": come_from_behind}
CUT_SHORT, CLONED = "cut short", "cloned"


def run(run: Run) -> Report:
    """One round: every scene, or those that are meant; in a short one, one of each kind."""
    newer = make_newer(run.directory / "newer")
    return total([_scene(run, each, newer) for each in _chosen(run)])


def parts() -> list[str]:
    """The names of the scenes."""
    return [*COMINGS, CUT_SHORT, *WAYS, CLONED]


def _chosen(run: Run) -> list[str]:
    if run.is_short and not run.only:
        return [run.rng("comings").choice([*COMINGS]), CUT_SHORT, run.rng("backups").choice([*WAYS, CLONED])]
    return [name for name in parts() if run.means(name)]


def _scene(run: Run, name: str, newer: Path) -> Report:
    if name == CLONED:
        return clone(run)
    return restore(run, name) if name in WAYS else COMINGS.get(name, cut_short)(run, newer)
