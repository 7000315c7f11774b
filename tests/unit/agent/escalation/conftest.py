"""Servers on the loopback for the channels, and a delivery for them."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.outbox import Delivery
from tests.support.servers import Mailbox, Receiver, TcpServer, open_mailbox, serve


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    server = serve(receiver)
    yield receiver
    receiver.over.set()
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate and its key, for localhost and nobody else."""
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    key = path.with_suffix(".key")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    files = ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(path)]
    subprocess.run([*command.split(), *files], check=True, capture_output=True)
    path.write_bytes(path.read_bytes() + key.read_bytes())
    return path


@pytest.fixture
def server_context(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture
def secure_receiver(server_context: ssl.SSLContext) -> Iterator[Receiver]:
    receiver = Receiver()
    server = serve(receiver, server_context)
    yield receiver
    server.shutdown()
    server.server_close()


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    mailbox = Mailbox()
    controller = open_mailbox(mailbox, auth_require_tls=False)
    yield mailbox
    controller.stop()


@pytest.fixture
def starttls_mailbox(server_context: ssl.SSLContext) -> Iterator[Mailbox]:
    mailbox = Mailbox()
    controller = open_mailbox(mailbox, tls_context=server_context, require_starttls=True)
    yield mailbox
    controller.stop()


@pytest.fixture
def tls_mailbox(server_context: ssl.SSLContext) -> Iterator[Mailbox]:
    mailbox = Mailbox()
    controller = open_mailbox(mailbox, ssl_context=server_context)
    yield mailbox
    controller.stop()


@pytest.fixture
def closed_port() -> int:
    """A port at which nobody listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


@pytest.fixture
def tcp_server() -> Iterator[Callable[[Callable[[socket.socket], None]], TcpServer]]:
    servers: list[TcpServer] = []

    def start(talk: Callable[[socket.socket], None]) -> TcpServer:
        servers.append(TcpServer(talk))
        threading.Thread(target=servers[-1].serve_forever, args=(0.01,)).start()
        return servers[-1]

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def delivery() -> Delivery:
    payload = '{"summary":"3 pauses within 540 s","since":"2026-11-22T16:00:00.000000Z","limit":2,"max_concurrent":8}'
    return Delivery(7, "review-1.5", "webhook", payload, attempts=0, created_at=1_800_000_000_000_000, due_at=0)
