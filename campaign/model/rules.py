"""What the real code does to keep its promises: a switch for each, so that it can be left out."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rules:
    """All on: the agent as it is."""

    # The store
    fence_names_worker: bool = True  # a record is guarded by the worker
    fence_names_claim: bool = True  # and the number of its claim
    fence_names_state: bool = True  # and by the task's being held
    return_is_checked_in_transaction: bool = True  # taking back asks once more, under the write lock
    retry_withdraws_cancels: bool = True
    # The worker
    failed_claim_goes_back: bool = True  # what a troubled transaction may have claimed is given back by the next
    failed_claim_is_not_run: bool = True
    last_before_begun: bool = True  # LAST is stored before BEGUN
    limit_is_asked: bool = True  # and LIMIT is read after it
    named_after_limit: bool = True  # TASK is stored only then
    published_after_return: bool = True
    published_one_by_one: bool = True  # each outcome before the next task is named
    trimmed_after_commit: bool = True  # the ring's space is given back once the outcomes are recorded
    unpublished_is_recorded_at_once: bool = True  # and its task named until then
    # Taking back
    return_waits: bool = True  # a tick between the limit's store and the second look at BEGUN
    limit_stands: bool = True  # within a chunk it is never raised
    # Stops
    busy_is_asked: bool = True  # a freeze is one only outside a transaction
    stop_is_told_from_older: bool = True  # a report of a stop that we have let go since is none
    stop_is_renewed: bool = True  # a worker that an outsider lets go while we stop it is stopped again
    attempt_is_confirmed: bool = True  # of a stopped worker, before it is killed for what it runs
    kill_is_for_what_ran: bool = True  # the burial compares the attempt that ran with the one that was meant
    cancel_is_asked_again: bool = True  # a command that was answered meanwhile is not obeyed
    cancel_waits_for_death: bool = True
    # Deaths and recovery
    frozen_is_not_dead: bool = True
    silence_is_no_death: bool = True  # who does not beat, for a handler holds it up, is alive
    death_is_proven: bool = True  # after a fork server's end, its workers are waited for
    killed_before_requeue: bool = True  # and what an earlier supervisor left is killed
    slot_is_read: bool = True  # a burial records what the slot holds
    slot_outlives_burial: bool = True  # its file is removed after the burial's COMMIT
    harvest_before_claim: bool = True
    row_before_claim: bool = True  # a worker claims only once its row stands
    one_supervisor: bool = True
