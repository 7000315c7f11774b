"""Real servers on the loopback: a webhook's receiver that answers as it is told, a mail server, and a bare one."""

from __future__ import annotations

import socket
import socketserver
import ssl
import threading
from asyncio import Server
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword

Reply = Callable[["Receiver", BaseHTTPRequestHandler], None]


@dataclass
class Request:
    """What a receiver was sent."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """A webhook's receiver. `reply` answers every request; `over` is set when the test ends."""

    port: int = 0
    requests: list[Request] = field(default_factory=list)
    reply: Reply = lambda _, handler: answer(handler, 204)
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?from=agent"


def answer(handler: BaseHTTPRequestHandler, status: int, body: bytes = b"", **headers: str) -> None:
    """An ordinary answer."""
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


class QuietServer(ThreadingHTTPServer):
    """A server whose callers may hang up on it."""

    def handle_error(self, request: object, client_address: object) -> None:
        pass


def serve(receiver: Receiver, context: ssl.SSLContext | None = None) -> QuietServer:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            receiver.requests.append(Request(self.path, headers, body))
            with suppress(OSError):
                receiver.reply(receiver, self)

        def log_message(self, *_: object) -> None:
            pass

    server = QuietServer(("127.0.0.1", 0), Handler)
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    receiver.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, args=(0.01,)).start()
    return server


@dataclass
class Mailbox:
    """A mail server and what it has accepted."""

    port: int = 0
    mails: list[Envelope] = field(default_factory=list)
    logins: list[tuple[bytes, bytes]] = field(default_factory=list)
    refuse: set[str] = field(default_factory=set)

    async def handle_RCPT(self, server: object, session: object, envelope: Envelope, address: str, _: object) -> str:
        if address in self.refuse:
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: object, session: object, envelope: Envelope) -> str:
        self.mails.append(envelope)
        return "250 OK"

    def authenticate(self, *about: object) -> AuthResult:
        data = about[-1]
        assert isinstance(data, LoginPassword)
        self.logins.append((data.login, data.password))
        return AuthResult(success=data.password == b"p@ss", handled=False)


class MailServer(Controller):
    """A mail server on any free port."""

    def _trigger_server(self) -> None:
        assert isinstance(self.server, Server)
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()  # type: ignore[no-untyped-call]


def open_mailbox(mailbox: Mailbox, **options: Any) -> MailServer:
    """Starts a server that accepts mail for `mailbox`."""
    server = MailServer(
        mailbox, "127.0.0.1", 0, server_hostname="mail.test", authenticator=mailbox.authenticate, **options
    )
    server.start()
    mailbox.port = server.port
    return server


class _Talk(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        with suppress(OSError):
            self.server.talk(self.request)  # type: ignore[attr-defined]


class TcpServer(socketserver.ThreadingTCPServer):
    """Says what it likes to whoever connects."""

    daemon_threads = True

    def __init__(self, talk: Callable[[socket.socket], None]) -> None:
        super().__init__(("127.0.0.1", 0), _Talk)
        self.talk = talk
        self.port: int = self.server_address[1]
