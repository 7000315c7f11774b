"""The fault pack as a world's `handlers.py`; the handlers that behave come along."""

from __future__ import annotations

from pathlib import Path

from campaign import handlers as plain
from campaign.pack import children, deaths, descriptors, errors, healthy, hogs, surroundings

plain.HERE = Path(__file__).resolve().parent  # a world: there is where effects belong

agent = healthy.agent

__all__ = ["agent", "children", "deaths", "descriptors", "errors", "hogs", "surroundings"]
