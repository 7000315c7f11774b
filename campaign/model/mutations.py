"""The model with one rule left out at a time, and a scope in which that must be noticed."""

from __future__ import annotations

from dataclasses import dataclass, replace

from campaign.explorer import Found, explore
from campaign.model.rules import Rules
from campaign.model.state import Faults
from campaign.model.whole import Scope, model


@dataclass(frozen=True, slots=True)
class Mutation:
    """What is left out, in words and by the names of its rules, and where."""

    words: str
    rules: tuple[str, ...]
    scope: Scope


def broken(mutation: Mutation) -> Found:
    """Walk through a mutation's scope."""
    return explore(model(mutation.scope, replace(Rules(), **dict.fromkeys(mutation.rules, False))))


def _one(words: str, rule: str, tasks: int = 2, workers: int = 2, **faults: int) -> Mutation:
    return Mutation(words, (rule,), Scope(Faults(**faults), tasks, workers))


MUTATIONS = (
    Mutation(
        "no fence: whoever ends a held task, ends it",
        ("fence_names_worker", "fence_names_claim"),
        Scope(Faults(error=1)),
    ),
    _one("a fence without the claim's number", "fence_names_claim", 1, 1, error=1, lag=1, retry=1),
    _one("a fence without the task's state", "fence_names_state", error=1),
    _one(
        "taking back without asking under the write lock", "return_is_checked_in_transaction", 1, 1, take_back=1, lag=1
    ),
    _one("an operator's retry leaves a cancel open", "retry_withdraws_cancels", 1, 1, cancel=1, retry=1),
    _one("what a troubled claim took does not go back", "failed_claim_goes_back", 1, 1, trouble=1),
    _one("a claim is run though its COMMIT failed", "failed_claim_is_not_run", 1, 1, trouble=1),
    _one("BEGUN is stored before LAST", "last_before_begun", take_back=1),
    _one("LIMIT is written and never asked", "limit_is_asked", take_back=1),
    _one("a task is named before LIMIT is asked", "named_after_limit", 1, 1, take_back=1),
    _one("a success is published before its handler's end", "published_after_return", 1, 1),
    _one("outcomes are published at the end of the chunk", "published_one_by_one", 2, 1),
    _one("the ring is trimmed before the COMMIT", "trimmed_after_commit", 1, 1, death=1),
    _one("an outcome too large for the ring waits", "unpublished_is_recorded_at_once", 1, 1, large_result=1, death=1),
    _one("… and its worker leaves", "unpublished_is_recorded_at_once", 1, 1, large_result=1, leave=1),
    _one("a limit is written, and what is beyond released in the same tick", "return_waits", take_back=1),
    _one("a limit is raised within a chunk", "limit_stands", take_back=2),
    _one("a freeze in the midst of a transaction", "busy_is_asked", 1, 1, freeze=1),
    _one("a report of a stop that was let go since counts", "stop_is_told_from_older", 1, 1, freeze=2),
    _one("who goes on while he is being stopped is not stopped again", "stop_is_renewed", 1, 1, cancel=1, cont=1),
    _one("a kill without a look at what runs", "attempt_is_confirmed", 2, 1, cancel=1),
    _one("whatever runs when a kill lands was meant", "kill_is_for_what_ran", 2, 1, cancel=1, cont=1),
    _one("a cancel is obeyed without asking again", "cancel_is_asked_again", 1, 1, cancel=1, retry=1, death=1),
    _one("a cancel moves the row before the death", "cancel_waits_for_death", 1, 1, cancel=1),
    _one("a frozen worker's tasks are queued again", "frozen_is_not_dead", 1, freeze=1),
    _one("a silent worker's tasks are queued again", "silence_is_no_death", 1),
    _one("a lost fork server's workers are not waited for", "death_is_proven", 1, fork_server_death=1),
    _one("an earlier supervisor's workers are not killed", "killed_before_requeue", 1, crash=1),
    _one("slots are not read after a death", "slot_is_read", 1, 1, death=1),
    _one("a slot is removed before its burial", "slot_outlives_burial", 1, 1, death=1, crash=1),
    _one("slots are harvested after the first claim", "harvest_before_claim", 1, 1, crash=1),
    _one("a worker claims before its row stands", "row_before_claim", 1, crash=1),
    _one("a second supervisor beside the first", "one_supervisor", 1, 1, crash=1, rival=1),
)
