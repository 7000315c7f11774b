"""Is there any order of steps, faults among them, in which a model of the agent breaks a promise?

A round walks through one scope of the model whole: every state that two workers, their slots, a fork server and a
supervisor can reach over two tasks, and from each of them a way to the end of all tasks. A breach comes with the
shortest trace. Then it leaves out the model's rules one after the other: each has to be missed.
"""

from __future__ import annotations

from campaign.explorer import Found, explore
from campaign.model.mutations import MUTATIONS, broken
from campaign.model.whole import FULL, SHORT, Scope, model
from campaign.run import Figure, Report, Run

ROUNDS = len(FULL)  # one scope each


def run(run: Run) -> Report:
    """One scope, or in short all the short ones; and every mutation."""
    scopes = SHORT if run.is_short else (FULL[run.seed % len(FULL)],)
    run.derive(scopes=[str(scope) for scope in scopes])
    found = [explore(model(scope)) for scope in scopes]
    unnoticed = [mutation.words for mutation in MUTATIONS if broken(mutation).breach is None]
    breaches = [line for scope, each in zip(scopes, found, strict=True) for line in _complaint(scope, each)]
    breaches += [f"the model does not notice: {words}" for words in unnoticed]
    return Report({"mutation": len(MUTATIONS)}, tuple(breaches), figures=tuple(_figures(found, unnoticed)))


def _complaint(scope: Scope, found: Found) -> list[str]:
    return [f"{scope}:\n" + "\n".join(found.lines())] if found.breach else []


def _figures(found: list[Found], unnoticed: list[str]) -> list[Figure]:
    return [
        Figure("reachable states", sum(each.states for each in found)),
        Figure("transitions", sum(each.transitions for each in found)),
        Figure("longest shortest way", max(each.depth for each in found), "steps"),
        Figure("seconds", round(sum(each.seconds for each in found), 1), "s"),
        Figure("mutations noticed", len(MUTATIONS) - len(unnoticed), limit=len(MUTATIONS), higher_is_better=True),
    ]
