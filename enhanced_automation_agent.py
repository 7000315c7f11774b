"""The enhanced automation agent: durable tasks in SQLite, handlers in a governed pool of OS processes.

    from enhanced_automation_agent import EnhancedAutomationAgent

    agent = EnhancedAutomationAgent()
    agent.register_handler("demo", lambda payload: {"result": payload["value"]})
    task = agent.enqueue("demo", {"value": 42})
    agent.resume(drain=True)
    print(agent.result(task))

As a command: `python enhanced_automation_agent.py --help`.
"""

from __future__ import annotations

import gc

if __name__ == "__main__":
    gc.disable()  # a command that is over in 0.1 s makes no garbage worth 10 ms; `resume` collects again

import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, Unpack

from agent.errors import AgentError, Fail, RetryAfter, UsageError
from agent.handlers import DECORATED, AttemptInfo, Handler, Options, Registry, current_attempt, handler

if TYPE_CHECKING:
    from agent.api import Duration
    from agent.client import Client
    from agent.config import Loaded
    from workers.fork_client import ForkServer
    from workers.operator import Operator

__all__ = [
    "AgentError",
    "AttemptInfo",
    "EnhancedAutomationAgent",
    "Fail",
    "RetryAfter",
    "current_attempt",
    "handler",
    "main",
]

F = TypeVar("F", bound=Callable[..., Any])


class EnhancedAutomationAgent:
    """The agent over one configuration: register handlers, enqueue tasks, supervise, look up.

    `config`: a file; left out, `SANAAGENT_CONFIG`, `./config.yml` or the built-in defaults. `SANAAGENT_*` variables
    override it. The configuration is read, and the database opened, on first use.
    """

    def __init__(self, config: str | Path | None = None) -> None:
        self.registry = Registry()
        self._config_path = None if config is None else str(config)
        self._overrides: dict[str, object] = {}
        self._loads_handlers = False  # as a command: handlers are loaded in a fresh interpreter

    # -- Handlers

    def register_handler(self, type: str, fn: Handler, **options: Unpack[Options]) -> None:
        """Let `fn` (dict in, JSON-serialisable dict out) handle the tasks of a type.

        Options: `max_attempts`, `timeout` (seconds, timedelta or "30s"), `max_concurrent` (over all workers),
        `retry_on` (the exceptions worth another attempt). Raises UsageError.
        """
        self.registry.register(type, fn, **options)

    def handler(self, type: str, **options: Unpack[Options]) -> Callable[[F], F]:
        """`register_handler` as a decorator."""

        def register(fn: F) -> F:
            self.registry.register(type, fn, **options)
            return fn

        return register

    def worker_start(self, hook: F) -> F:
        """Decorator: run `hook()` in each worker before its first claim, for sockets, clients, seeds."""
        self.registry.worker_start.append(hook)
        return hook

    # -- Tasks

    @cached_property
    def _client(self) -> Client:
        from agent.client import Client

        return Client(self._loaded.config)

    @cached_property
    def _loaded(self) -> Loaded:
        return self._load()

    def _load(self) -> Loaded:
        from agent.config import load

        loaded = load(self._config_path, self._overrides)
        for warning in loaded.warnings:
            print(f"warning: {warning}", file=sys.stderr)
        return loaded

    def enqueue(
        self,
        type: str,
        payload: Mapping[str, Any],
        *,
        idempotency_key: str | None = None,
        priority: int = 0,
        delay: Duration | None = None,
        run_at: datetime | None = None,
        max_attempts: int | None = None,
        timeout: Duration | None = None,
    ) -> int:
        """Store a task; its id, or the id of the task that has the key. Durable when this returns.

        Higher priorities go first. Raises PayloadError, UsageError, IdempotencyConflict, QueueFull and StoreError.
        """
        return self._client.enqueue(
            type, self._client.payload(payload), key=idempotency_key, priority=priority, delay=delay, run_at=run_at,
            max_attempts=max_attempts, timeout=timeout,
        )  # fmt: skip

    def enqueue_text(
        self,
        type: str,
        payload: str | bytes,
        *,
        where: str = "payload",
        idempotency_key: str | None = None,
        priority: int = 0,
        delay: Duration | None = None,
        run_at: datetime | None = None,
        max_attempts: int | None = None,
        timeout: Duration | None = None,
    ) -> int:
        """`enqueue` from JSON text, checked as it stands; `where` names the text in errors."""
        return self._client.enqueue(
            type, self._client.payload_text(payload, where), key=idempotency_key, priority=priority, delay=delay,
            run_at=run_at, max_attempts=max_attempts, timeout=timeout,
        )  # fmt: skip

    def enqueue_many(self, type: str, payloads: Iterable[Mapping[str, Any]], *, priority: int = 0) -> list[int]:
        """Store a task for each payload, atomically by the thousand; the ids. An error has the `ids` so far."""
        return self._client.enqueue_many(type, payloads, priority)

    def enqueue_lines(
        self, lines: Iterable[bytes], type: str | None = None, where: str = "lines", *,
        seen_types: set[str] | None = None,
    ) -> list[int]:  # fmt: skip
        """Store a task for each line, {"type"?, "payload", "key"?, "priority"?}; all are checked before the first.

        The tasks' types are added to `seen_types`.
        """
        return self._client.enqueue_lines(lines, type, where, seen_types)

    def inspect(self, task: int) -> dict[str, Any]:
        """A task's record. Raises NotFound."""
        return self._client.inspect(task)

    def tasks(self, state: str | None = None, type: str | None = None, limit: int = 50) -> list[dict[str, Any]]:
        """Records of the newest tasks, newest first."""
        return self._client.tasks(state, type, limit)

    def stats(self) -> dict[str, Any]:
        """Counts by state and type, the oldest wait, the governor, the supervisor's pid, why it cannot work if so."""
        return self._client.stats()

    def result(
        self, task: int, timeout: Duration | None = None, *, meanwhile: Callable[[], object] | None = None
    ) -> dict[str, Any]:
        """Wait for a task's result, calling `meanwhile` once a second. Raises TaskFailed, WaitTimeout and NotFound."""
        return self._client.result(task, timeout, meanwhile)

    def held_up(self, task: int) -> str | None:
        """Why an unfinished task does not go on (no supervisor, a pause), else None. Raises NotFound."""
        return self._client.held_up(task)

    def cancel(self, task: int) -> str:
        """Cancel a task: "cancelled", or "requested" when a worker has it. Raises NotFound and Conflict."""
        return self._client.cancel(task)

    def retry(self, task: int) -> str:
        """Queue a failed or cancelled task again: "queued". Raises NotFound and Conflict."""
        return self._client.retry(task)

    def unhandled(self, type: str) -> str | None:
        """A warning (with "did you mean") when nobody is known to handle a type, else None."""
        return self._client.unhandled(type)

    # -- Operating

    @cached_property
    def _operator(self) -> Operator:
        from workers.operator import Operator

        return Operator(self._client)

    def pause(self, type: str | None = None, duration: Duration | None = None) -> dict[str, Any]:
        """Pause all types or one, for ever or for a duration. {"applied", "paused", "max"}."""
        return self._operator.pause(type, duration)

    def unpause(self, type: str | None = None) -> dict[str, Any]:
        """End an operator's pause."""
        return self._operator.unpause(type)

    def scale(self, max_concurrent: int, duration: Duration | None = None) -> dict[str, Any]:
        """Set the number of workers, for ever or for a duration."""
        return self._operator.scale(max_concurrent, duration)

    def workers(self) -> list[dict[str, Any]]:
        """{"worker", "pid", "state", "task", "type", "since", "heartbeat_at", "rss_bytes"} of each worker."""
        return self._operator.workers()

    def freeze(self, worker: str) -> dict[str, Any]:
        """Stop a worker where it stands. Raises NotFound, Conflict, and Unavailable without a supervisor."""
        return self._operator.freeze(worker)

    def thaw(self, worker: str) -> dict[str, Any]:
        """Let a frozen worker go on; the same."""
        return self._operator.thaw(worker)

    def resume(self, *, drain: bool = False, max_concurrent: int | None = None) -> int:
        """Make this process the supervisor, until SIGTERM or Ctrl-C; with `drain`, until nothing is left to run.

        Runs on the main thread; workers are forked from this process, so closures work as handlers. The exit code.
        """
        from supervisor import Plan, supervise

        _check_threads()
        gc.enable()
        if max_concurrent is not None:
            self._overrides["bulk.max_concurrent"] = max_concurrent
            self.__dict__.pop("_loaded", None)
        plan = Plan(self._loaded, self._load, self._start_fork_server, self._loads_handlers, drain)
        self.close()
        return supervise(plan)

    def _start_fork_server(self) -> ForkServer:
        from workers import worker
        from workers.fork_client import ForkServer

        if self._loads_handlers:
            return ForkServer.start_fresh(self._loaded.config.handlers, Path.cwd())
        registry = Registry()
        registry.absorb_registry(self.registry)
        registry.absorb(DECORATED)
        return ForkServer.start_forked(registry, worker.main)

    def demo(self) -> Path:
        """The directory of the examples."""
        return Path(__file__).resolve().parent / "examples"

    def close(self) -> None:
        """Close the database; the next use opens it again."""
        client = self.__dict__.pop("_client", None)
        if client is not None:
            client.close()
        self.__dict__.pop("_operator", None)


def _check_threads() -> None:
    """Forking copies the calling thread alone: locks that others hold stay locked for ever in the workers."""
    import threading

    if threading.current_thread() is not threading.main_thread():
        raise UsageError("resume() runs on the main thread: workers die with the thread that forked them")
    names = ", ".join(each.name for each in threading.enumerate() if each is not threading.main_thread())
    if names:
        print(f"warning: threads run besides resume(): {names}; start them in worker_start", file=sys.stderr)


def build(
    config: str | None, handlers: Sequence[str] | None, overrides: Mapping[str, object] | None = None
) -> EnhancedAutomationAgent:
    """The agent that a command line asks for: its handlers are loaded in an interpreter of their own."""
    agent = EnhancedAutomationAgent(config)
    agent._overrides = dict(overrides or {})
    agent._loads_handlers = True
    if handlers is not None:
        agent._overrides["handlers"] = list(handlers)
    return agent


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; its exit code."""
    from agent.cli.main import run

    return run(argv, build)


def _run_as_command() -> NoReturn:
    """The command line as a process of its own, which ends without taking the interpreter apart: that takes 10 ms."""
    sys.modules["enhanced_automation_agent"] = sys.modules["__main__"]  # one module, however it is imported
    code = main()
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:  # else it was closed before we began, and nobody wants to read us
                stream.flush()
    except OSError:  # who read us has gone
        code = code or 1
    os._exit(code)


if __name__ == "__main__":
    _run_as_command()
