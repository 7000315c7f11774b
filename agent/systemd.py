"""Telling systemd how the service is (sd_notify(3)): readiness, status, the watchdog's proof of life."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping


class Notifier:
    """Sends what sd_notify(3) describes to NOTIFY_SOCKET; silent where there is none."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        watchdog_us = int(environ.get("WATCHDOG_USEC", "0") or 0)
        is_meant = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self.watchdog_s = watchdog_us / 2e6 if is_meant else 0.0
        """Say that all is well this often; 0: nobody listens."""

    def tell(self, **states: object) -> bool:
        """Send states, such as READY=1 or STATUS="…"; whether somebody was there to take them."""
        if not self._address:
            return False
        text = "\n".join(f"{name}={value}" for name, value in states.items())
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as end:
                end.setblocking(False)
                end.sendto(text.encode(), self._address)
        except OSError:
            return False
        return True
