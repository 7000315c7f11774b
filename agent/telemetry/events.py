"""The catalogue: every event the agent logs, one sentence each, and how loud it is."""

from __future__ import annotations

EVENTS = {
    "supervisor.started": "The supervisor holds the database's lock and serves it.",
    "supervisor.stopped": "The supervisor has ended; the fields tell why.",
    "supervisor.draining": "Nothing new is begun; what runs may finish.",
    "worker.started": "A worker was forked.",
    "worker.ready": "A worker has opened the store and claims tasks.",
    "worker.exited": "A worker's process has ended; the fields tell its status and what was given back.",
    "worker.frozen": "A worker's process group was stopped.",
    "worker.thawed": "A frozen worker runs again.",
    "worker.killed": "The supervisor killed a worker; the fields tell why.",
    "worker.recycled": "A worker was replaced because of its age or memory.",
    "fork_server.started": "The fork server has imported the handlers and forks workers.",
    "fork_server.lost": "The fork server has died, and its workers with it.",
    "recovery.done": "What an earlier supervisor left behind has been put in order.",
    "task.failed": "A task has failed and will not be tried again.",
    "task.retry": "An attempt failed, and another will follow.",
    "task.succeeded": "A handler returned and its result is stored.",
    "task.lost": "A worker died in the middle of a task, which goes back to the queue.",
    "task.timed_out": "An attempt outlived its deadline and was killed.",
    "task.poisoned": "A task has crashed too many workers and is failed.",
    "task.cancelled": "A task was cancelled.",
    "task.stale_outcome": "A result came from a worker that no longer held the task, and was dropped.",
    "governance.throttle": "The limit of concurrent tasks was lowered.",
    "governance.recover": "The limit of concurrent tasks was raised.",
    "governance.pause": "No new attempts of the scope begin.",
    "governance.probe": "A few attempts are let through to see whether the errors have gone.",
    "governance.resume": "A pause has ended.",
    "governance.escalate": "A human is asked to look.",
    "escalation.delivered": "A human was told.",
    "escalation.retry": "An escalation could not be delivered yet.",
    "escalation.failed": "An escalation was given up; nobody was told.",
    "control.applied": "An operator's command was carried out.",
    "config.loaded": "The configuration was read.",
    "config.reloaded": "The configuration was read again and is in force.",
    "config.refused": "A changed configuration was refused whole; the old one stays in force.",
    "telemetry.summary": "What happened since the last summary.",
    "sensor.degraded": "A source of measurements is missing; what depends on it holds still.",
    "store.degraded": "The database refuses writes; nothing new is begun.",
    "store.recovered": "The database takes writes again.",
    "retention.done": "Old rows were removed.",
    "handlers.loaded": "The handlers were imported and their types are known.",
    "handlers.missing_type": "Tasks wait for a type that no handler serves.",
    "output.dropped": "Lines were dropped, because their reader or their disk could not take them.",
    "clock.stepped": "The wall clock was set.",
}
"""Event name to what it says."""

LEVELS = {
    "worker.frozen": "warning",
    "worker.killed": "warning",
    "task.failed": "warning",
    "task.lost": "warning",
    "task.timed_out": "warning",
    "task.stale_outcome": "warning",
    "governance.throttle": "warning",
    "governance.pause": "warning",
    "governance.escalate": "warning",
    "escalation.retry": "warning",
    "sensor.degraded": "warning",
    "handlers.missing_type": "warning",
    "output.dropped": "warning",
    "clock.stepped": "warning",
    "fork_server.lost": "error",
    "task.poisoned": "error",
    "escalation.failed": "error",
    "config.refused": "error",
    "store.degraded": "error",
}
"""The level of an event; `info` where none is given."""

SPOKEN = frozenset(
    {
        "supervisor.started",
        "supervisor.stopped",
        "supervisor.draining",
        "recovery.done",
        "config.reloaded",
        "governance.recover",
        "governance.resume",
        "store.recovered",
    }
)
"""The quiet events that a person at the terminal is told of besides every warning."""
