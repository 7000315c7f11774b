"""The fault campaign: what the agent promises, attacked; `python -m campaign --help` lists the scenarios.

A scenario is a module with a `run(run: Run) -> Report`: one round, from a seed, in a directory of its own. What a round
decides by chance comes from `run.rng`, so that a seed names it; what it derives from the seed is kept by `run.derive`.
A round ends in figures, and in breaches: sentences that say which promise was broken, by what, where.
"""

from __future__ import annotations


class Broken(Exception):
    """A scenario that could not be played: this says nothing about the agent."""


class PromiseBroken(Exception):
    """A promise that broke so that the round cannot go on; its message is the breach."""
