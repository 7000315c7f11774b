"""What a campaign asked the agent for, and what was acknowledged: kept by the asker, out of the agent's reach."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Payload = dict[str, Any]


class Asked:
    """Every task asked for has a number, which its payload holds as `n`; an acknowledged one has an id besides."""

    def __init__(self) -> None:
        self.payloads: list[tuple[str, Payload]] = []  # type and payload, by number
        self.numbers: dict[int, int] = {}  # by acknowledged id
        self.inside: dict[int, tuple[str, Payload]] = {}  # what handlers ask for, key and payload: by their task's id
        self.by_key: dict[str, list[int]] = defaultdict(list)  # acknowledged ids, in order

    def number(self, type_: str, payloads: Iterable[Mapping[str, Any]]) -> list[Payload]:
        """The payloads with their numbers: from now on they may appear in the store."""
        numbered = [{**payload, "n": n} for n, payload in enumerate(payloads, len(self.payloads))]
        self.payloads += [(type_, payload) for payload in numbered]
        return numbered

    def acknowledged(self, ids: Sequence[int], payloads: Sequence[Payload], key: str | None = None) -> None:
        """From now on these tasks must not be lost."""
        self.numbers.update((id_, payload["n"]) for id_, payload in zip(ids, payloads, strict=True))
        if key is not None:
            self.by_key[key] += ids
