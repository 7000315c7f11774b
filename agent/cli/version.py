"""Which version this is: that of the checkout, or of the installed package."""

from __future__ import annotations

import importlib.metadata
from configparser import ConfigParser
from pathlib import Path

PACKAGE = "sanaagent"
SETUP = Path(__file__).resolve().parents[2] / "setup.cfg"


def version() -> str:
    """What setup.cfg says beside our source, else what was installed."""
    parser = ConfigParser()
    parser.read(SETUP, encoding="utf-8")
    if parser.get("metadata", "name", fallback="") == PACKAGE:
        return parser.get("metadata", "version")
    return importlib.metadata.version(PACKAGE)
