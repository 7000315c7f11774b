"""Delivers what the outbox holds: at least once, patiently, and never in the way of anything else.

A delivery that fails is tried again after a random time (full jitter) below a bound that doubles from 2 s to
15 minutes, until it is 24 h old. A channel that fails is left alone for the rest of the round: a dead one costs a round
one time-out, and what else waits for it has its turn in the rounds after.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

from tenacity import RetryCallState, Retrying, wait_exponential

from agent.clock import SECOND, Clock
from agent.escalation.channel import Channel, ChannelError
from agent.outbox import Delivery, Outbox

GIVE_UP_AFTER_S = 24 * 3600
BATCH = 16
"""Deliveries of one round at most."""

FIRST_S, LONGEST_S = 2.0, 900.0

# The bound of wait_random_exponential; the random part is drawn from the caller's generator.
_bound = wait_exponential(multiplier=FIRST_S, max=LONGEST_S)
_retrying = Retrying()


@dataclass(frozen=True, slots=True)
class Tally:
    """What one round did."""

    delivered: int = 0
    postponed: int = 0
    given_up: int = 0


class Escalator:
    """Moves deliveries from the outbox through `channels`, which are known by the names that deliveries bear."""

    def __init__(
        self, outbox: Outbox, channels: Mapping[str, Channel], clock: Clock | None = None, rng: Random | None = None
    ) -> None:
        self._outbox = outbox
        self._channels = channels
        self._clock = clock or Clock()
        self._rng = rng or Random()  # nosec B311  # spreads retries
        from structlog import get_logger  # whoever sets logging up imports it first, and leanly

        self._log = get_logger()

    def deliver(self) -> float | None:
        """One round; seconds until the next is worth while, None: nothing waits. Raises StoreError as `deliver_due`."""
        self.deliver_due()
        due_at = self._outbox.next_due()
        return None if due_at is None else max(FIRST_S, (due_at - self._clock.now()) / SECOND)

    def deliver_due(self) -> Tally:
        """One round. A network's trouble is never raised; StoreError is, when the outbox cannot be read or written."""
        failed: set[str] = set()
        counts = {"delivered": 0, "postponed": 0, "given_up": 0}
        for delivery in self._outbox.due(self._clock.now(), BATCH):
            if delivery.channel not in failed:
                outcome = self._try(delivery)
                counts[outcome] += 1
                if outcome != "delivered":
                    failed.add(delivery.channel)
        return Tally(**counts)

    def _try(self, delivery: Delivery) -> str:
        try:
            answer = self._deliver(delivery)
        except Exception as error:  # also a fault of ours: one delivery must not hold up all others
            return self._failed(delivery, error)
        self._outbox.delivered(delivery.id, self._clock.now())
        self._log.info("escalation.delivered", **_names(delivery), answer=answer)
        return "delivered"

    def _deliver(self, delivery: Delivery) -> str:
        channel = self._channels.get(delivery.channel)
        if channel is None:
            raise ChannelError(f"no {delivery.channel} is configured: see the section escalation of the configuration")
        return channel.deliver(delivery)

    def _failed(self, delivery: Delivery, error: Exception) -> str:
        expected = isinstance(error, ChannelError)
        reason = str(error) if expected else f"{type(error).__name__}: {error}"
        told = _names(delivery) | {"error": reason, "exc_info": None if expected else error}
        now, last = self._clock.now(), delivery.created_at + GIVE_UP_AFTER_S * SECOND
        if now >= last:
            self._outbox.give_up(delivery.id, now, reason)
            self._log.error("escalation.failed", **told)
            return "given_up"
        delay = delay_s(delivery.attempts + 1, self._rng, getattr(error, "retry_after_s", None))
        # The last try comes when the time is up, not up to 15 minutes later.
        self._outbox.postpone(delivery.id, min(now + round(delay * SECOND), last), reason)
        self._log.warning("escalation.retry", **told, delay_s=round(delay, 1))
        return "postponed"


def delay_s(failures: int, rng: Random, retry_after_s: float | None = None) -> float:
    """Seconds to the next try after so many failures, at least what the receiver asked for, up to 15 minutes."""
    state = RetryCallState(_retrying, fn=None, args=(), kwargs={})
    state.attempt_number = failures
    return max(rng.uniform(0, _bound(state)), min(retry_after_s or 0, LONGEST_S))


def _names(delivery: Delivery) -> dict[str, object]:
    return {
        "episode": delivery.episode,
        "channel": delivery.channel,
        "delivery": delivery.id,
        "attempts": delivery.attempts + 1,
    }
