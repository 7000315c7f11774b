"""The ways to tell a human: a signed webhook and an e-mail. Each delivers once, or raises ChannelError.

Webhooks follow Standard Webhooks (https://www.standardwebhooks.com): a receiver verifies `webhook-signature`, and drops
what it has seen by `webhook-id`, which stays the same over all tries.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import http.client
import os
import re
import smtplib
import socket
import ssl
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from email.message import EmailMessage
from email.utils import getaddresses
from urllib.parse import SplitResult, unquote, urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError
from urllib3.response import BaseHTTPResponse

from agent.clock import SECOND, Clock
from agent.errors import ConfigError
from agent.escalation.addresses import resolve
from agent.escalation.channel import ChannelError
from agent.escalation.deadline import Deadline, within
from agent.escalation.letter import compose
from agent.outbox import Delivery

BODY_MAX = 65_536
"""Bytes of a refusal that are read, never unpacked; what a server says after them is not waited for."""

_REDIRECTED = "; redirects are not followed: set escalation.webhook_url to where it leads"
_QUOTED = 200  # characters of a refusal's body in the error
_SMTP_PORTS = {"smtp": 25, "smtps": 465, "smtp+starttls": 587}


class Webhook:
    """POSTs the payload to `url`, signed with `secret` if there is one, in at most `timeout_s` seconds.

    `secret` is `whsec_` and base64, or plain text; two of them, separated by a space, sign both while one replaces the
    other. Redirects are not followed, proxies of the environment not used.
    """

    def __init__(  # nosec B107  # without a secret nothing is signed
        self, url: str, secret: str = "", timeout_s: float = 10, clock: Clock | None = None
    ) -> None:
        """Raises ConfigError for a wrong URL or secret."""
        self._url = _web_url(url)
        self._keys = [_key(part) for part in secret.split()]
        self._timeout = timeout_s
        self._clock = clock or Clock()
        # The path may hold a secret, as those of chat services do: never shown.
        self._shown = f"{self._url.scheme}://{self._url.netloc}"

    def deliver(self, delivery: Delivery) -> str:
        """POST once; the status line. Raises ChannelError for anything but a 2xx answer in time."""
        try:
            status, reason, text, retry_after = within(self._timeout, lambda deadline: self._post(delivery, deadline))
        except (OSError, ValueError, RuntimeError, HTTPError, http.client.HTTPException) as error:
            raise ChannelError(f"the webhook {self._shown} cannot be reached: {_reason(error)}") from error
        if _is_accepted(status):
            return f"{status} {reason}".strip()
        hint = _REDIRECTED if 300 <= status < 400 else ""
        raise ChannelError(f"the webhook {self._shown} answered {status} {reason}: {text!r}{hint}", retry_after)

    def headers(self, delivery: Delivery) -> dict[str, str]:
        """The headers of one try, signed now."""
        stamp = str(self._clock.now() // SECOND)
        name = message_id(delivery)
        headers = {
            "Host": self._url.netloc or "",
            "Content-Type": "application/json",
            "User-Agent": "sanaagent",
            "Connection": "close",
            "webhook-id": name,
            "webhook-timestamp": stamp,
        }
        if self._url.auth:
            headers["Authorization"] = "Basic " + base64.b64encode(unquote(self._url.auth).encode()).decode()
        if self._keys:
            signed = f"{name}.{stamp}.{delivery.payload}".encode()
            headers["webhook-signature"] = " ".join(_signature(key, signed) for key in self._keys)
        return headers

    def _post(self, delivery: Delivery, deadline: Deadline) -> tuple[int, str, str, float | None]:
        with closing(self._connect(deadline)) as connection, _hung_up_after(connection.sock) as used:
            deadline.watch(lambda: used)  # the connection forgets it when the answer is the last one
            deadline.left()
            connection.request(
                "POST",
                self._url.request_uri,
                body=delivery.payload.encode(),
                headers=self.headers(delivery),
                preload_content=False,
                decode_content=False,
            )
            with closing(connection.getresponse()) as response:
                retry_after = response.headers.get("Retry-After", "")
                seconds = float(retry_after) if re.fullmatch(r"\d{1,9}", retry_after, re.ASCII) else None
                text = "" if _is_accepted(response.status) else _beginning(response)
                return response.status, _one_line(response.reason or ""), text, seconds

    def _connect(self, deadline: Deadline) -> HTTPConnection:
        """To the first address that answers, of those that were checked: the name is not looked up again."""
        host, port = (self._url.host or "").strip("[]"), self._url.port or _web_port(self._url)
        addresses = resolve(host, port)
        for number, address in enumerate(addresses, 1):
            connection = self._connection(host, address, port, deadline.left() / (len(addresses) + 1 - number))
            deadline.watch(lambda connection=connection: connection.sock)  # type: ignore[misc]
            try:
                connection.connect()
            except (OSError, HTTPError):
                connection.close()
                if number == len(addresses):
                    raise
            else:
                return connection
        raise OSError(f"{host} has no address")

    def _connection(self, host: str, address: str, port: int, timeout: float) -> HTTPConnection:
        if self._url.scheme == "http":
            return HTTPConnection(address, port, timeout=timeout)
        return HTTPSConnection(address, port, timeout=timeout, server_hostname=host, cert_reqs=ssl.CERT_REQUIRED)


class Email:
    """Mails the payload in words, with the JSON attached, through the server `smtp_url`.

    `smtp://host:25`, `smtps://user:password@host:465` or `smtp+starttls://user:password@host:587`; `to` is one address
    or several, separated by commas.
    """

    def __init__(self, smtp_url: str, sender: str, to: str, timeout_s: float = 10) -> None:
        """Raises ConfigError for a wrong URL or address."""
        self._url = _mail_url(smtp_url)
        self._host, self._port = self._url.hostname or "", self._url.port or _SMTP_PORTS[self._url.scheme]
        self._sender = _addresses("escalation.email_from", sender)[0]
        self._to = _addresses("escalation.email_to", to)
        self._timeout = timeout_s

    def deliver(self, delivery: Delivery) -> str:
        """Hand the mail to the server; who gets it. Raises ChannelError."""
        letter = compose(delivery, message_id(delivery), self._sender, self._to)
        try:
            refused = within(self._timeout, lambda deadline: self._send(letter, deadline))
        except (OSError, ValueError, RuntimeError) as error:  # SMTPException is an OSError
            where = f"{self._host}:{self._port}"
            raise ChannelError(f"the mail server {where} did not take the mail: {_reason(error)}") from error
        accepted = ", ".join(address for address in self._to if address not in refused)
        return f"accepted for {accepted}" + (f"; refused for {', '.join(refused)}" if refused else "")

    def _send(self, letter: EmailMessage, deadline: Deadline) -> list[str]:
        server = self._server(deadline)
        with closing(server):
            if self._url.scheme == "smtp+starttls":
                server.starttls(context=ssl.create_default_context())
            deadline.left()
            if self._url.username:
                server.login(unquote(self._url.username), unquote(self._url.password or ""))
            deadline.left()
            refused = server.send_message(letter, self._sender, self._to)
            with suppress(OSError):  # the mail is accepted; a goodbye adds nothing
                server.quit()
            return sorted(refused)

    def _server(self, deadline: Deadline) -> smtplib.SMTP:
        """Connected and greeted. The socket is watched from before the greeting, which may come a byte at a time."""
        tls = ssl.create_default_context() if self._url.scheme == "smtps" else None

        class Watched(smtplib.SMTP):
            def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
                plain = socket.create_connection((host, port), timeout)
                deadline.watch(lambda: self.sock or plain)
                return plain if tls is None else tls.wrap_socket(plain, server_hostname=host)

        return Watched(self._host, self._port, local_hostname=_own_name(), timeout=deadline.left())


@contextmanager
def _hung_up_after(used: socket.socket) -> Iterator[socket.socket]:
    """Closes the socket at the end, whoever still holds a file of it: a half-read answer would keep it for long."""
    try:
        yield used
    finally:
        if (descriptor := used.detach()) >= 0:
            os.close(descriptor)


def message_id(delivery: Delivery) -> str:
    """The name of a delivery on every try, without the dots that separate what is signed."""
    return re.sub(r"[^A-Za-z0-9_-]", "-", f"{delivery.episode}-{delivery.id}")


def _web_url(url: str) -> urllib3.util.Url:
    try:
        parsed = urllib3.util.parse_url(url)
    except HTTPError as error:
        raise ConfigError(f"escalation.webhook_url is not a URL: {_one_line(str(error))}") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ConfigError("escalation.webhook_url must begin with http:// or https:// and name a host")
    return parsed


def _web_port(url: urllib3.util.Url) -> int:
    return 443 if url.scheme == "https" else 80


def _key(secret: str) -> bytes:
    if not secret.startswith("whsec_"):
        return secret.encode()
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error as error:
        raise ConfigError("escalation.webhook_secret begins with whsec_, but no base64 follows") from error
    if not key:  # anybody could sign with it
        raise ConfigError("escalation.webhook_secret ends after whsec_: the key, in base64, is missing")
    return key


def _signature(key: bytes, signed: bytes) -> str:
    return "v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode()


def _is_accepted(status: int) -> bool:
    return 200 <= status < 300


def _beginning(response: BaseHTTPResponse) -> str:
    """How the body of a refusal begins. The status is what counts: a body that breaks off or lies changes nothing."""
    try:
        body = response.read(BODY_MAX)
    except (OSError, ValueError, HTTPError, http.client.HTTPException):
        return ""
    return _one_line(body[:_QUOTED].decode("utf-8", "replace"))


def _mail_url(url: str) -> SplitResult:
    parsed = urlsplit(url)
    if parsed.scheme not in _SMTP_PORTS or not parsed.hostname:
        raise ConfigError("escalation.smtp_url must be smtp://, smtps:// or smtp+starttls:// and a host")
    try:
        parsed.port  # noqa: B018  # reading it checks it
    except ValueError as error:
        raise ConfigError("escalation.smtp_url has a port that is no number from 0 to 65535") from error
    return parsed


def _addresses(setting: str, text: str) -> list[str]:
    addresses = [address for _, address in getaddresses([text])]
    wrong = [address for address in addresses if not re.fullmatch(r"[^\s@<>,;]+@[^\s@<>,;]+", address)]
    if wrong or not addresses or not text.isprintable():
        raise ConfigError(f"{setting} must be a mail address such as ops@example.org, not {text!r}")
    return addresses


def _own_name() -> str:
    """For the greeting. smtplib would look the full name up, which can take long."""
    name = socket.gethostname()
    return name if re.fullmatch(r"[A-Za-z0-9.-]+", name) else "localhost"


def _reason(error: BaseException) -> str:
    return _one_line(str(error)) or type(error).__name__


def _one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
