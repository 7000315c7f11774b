"""Hostile receivers, names and addresses: what a webhook must not be talked into."""

from __future__ import annotations

import gzip
import socket
import ssl
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from urllib3.connection import HTTPConnection

from agent.escalation.channel import ChannelError
from agent.escalation.channels import BODY_MAX, Webhook
from agent.outbox import Delivery
from tests.support.servers import Receiver, TcpServer, answer, serve
from tests.support.waiting import until

SLOW = 0.4  # seconds: the time limit of deliveries that run into it
METADATA = "169.254.169.254"

Talk = Callable[[socket.socket], None]
StartServer = Callable[[Talk], TcpServer]


@pytest.fixture
def inside() -> Iterator[Receiver]:
    """Somebody whom only the host itself can reach, and to whom nothing must be sent."""
    receiver = Receiver()
    server = serve(receiver)
    yield receiver
    server.shutdown()
    server.server_close()


@pytest.fixture
def sealed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is connected to, whatever is found to be wrong with the product."""

    def connect(_: object) -> None:
        pytest.fail("it connects to where nothing must be sent")

    monkeypatch.setattr(HTTPConnection, "connect", connect)


def refusal(url: str, delivery: Delivery, timeout_s: float = 10) -> str:
    with pytest.raises(ChannelError) as refused:
        Webhook(url, "geheim", timeout_s).deliver(delivery)
    return str(refused.value)


def on_every_request(send: Talk) -> Talk:
    """Reads what comes first, then sends."""

    def talk(client: socket.socket) -> None:
        client.recv(65536)
        send(client)

    return talk


# -- Where it leads


@pytest.mark.parametrize("status", [300, 301, 302, 303, 305, 307, 308])
def test_no_redirect_leads_anywhere(receiver: Receiver, inside: Receiver, delivery: Delivery, status: int) -> None:
    receiver.reply = lambda _, handler: answer(handler, status, Location=inside.url, Refresh=f"0; {inside.url}")
    assert "redirects are not followed" in refusal(receiver.url, delivery)
    assert inside.requests == []


def test_no_redirect_leads_to_a_metadata_service(receiver: Receiver, delivery: Delivery) -> None:
    receiver.reply = lambda _, handler: answer(handler, 302, Location=f"http://{METADATA}/latest/meta-data/")
    assert refusal(receiver.url, delivery).startswith(f"the webhook http://127.0.0.1:{receiver.port} answered 302")


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])
def test_no_proxy_of_the_environment_is_used(
    receiver: Receiver, inside: Receiver, delivery: Delivery, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, inside.url)
    Webhook(receiver.url).deliver(delivery)
    assert "cannot be reached" in refusal(f"https://127.0.0.1:{receiver.port}/", delivery)
    assert inside.requests == []


@pytest.mark.parametrize(
    "host",
    [
        "2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518", "169.254.169.254.", "[::ffff:a9fe:a9fe]",
        "[0:0:0:0:0:ffff:169.254.169.254]", "[fe80::a9fe:a9fe%25lo]", "localhost@169.254.169.254",
        "localhost:80@169.254.169.254", "[fd00:ec2::23]", "168.63.129.16",
    ],
)  # fmt: skip
def test_a_metadata_service_is_known_however_it_is_written(host: str, delivery: Delivery, sealed: None) -> None:
    said = refusal(f"http://{host}/latest", delivery)
    assert "a link-local or metadata address" in said or "Name or service not known" in said, said


def name_service(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """One that gives another answer for names each time, the last for ever; the names it was asked for."""
    asked: list[str] = []

    def getaddrinfo(host: str, port: int, *_: object, **__: object) -> Any:
        addresses = [host]
        if host.endswith(".test"):
            asked.append(host)
            addresses = answers[min(len(asked), len(answers)) - 1]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


def test_a_name_that_changes_its_address_after_the_check_is_reached_where_it_was_checked(
    receiver: Receiver, delivery: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = name_service(monkeypatch, ["127.0.0.1"], [METADATA])
    Webhook(f"http://hooks.test:{receiver.port}/").deliver(delivery)
    assert asked == ["hooks.test"]
    assert receiver.requests[0].headers["host"] == f"hooks.test:{receiver.port}"


@pytest.mark.parametrize("addresses", [["127.0.0.1", METADATA], [METADATA, "127.0.0.1"]])
def test_a_name_with_one_forbidden_address_is_refused_whole(
    delivery: Delivery, monkeypatch: pytest.MonkeyPatch, addresses: list[str], sealed: None
) -> None:
    name_service(monkeypatch, addresses)
    assert "a link-local or metadata address" in refusal("http://hooks.test/", delivery)


def test_no_url_adds_a_header_or_a_request(receiver: Receiver, delivery: Delivery) -> None:
    Webhook(f"http://127.0.0.1:{receiver.port}/a b\r\nX-Planted: 1\r\n\r\nGET /planted HTTP/1.1").deliver(delivery)
    (request,) = receiver.requests
    assert "x-planted" not in request.headers
    assert "\r" not in request.path


def test_a_password_of_any_alphabet_is_sent(receiver: Receiver, delivery: Delivery) -> None:
    Webhook(f"http://me:%E2%82%AC@127.0.0.1:{receiver.port}/").deliver(delivery)
    assert receiver.requests[0].headers["authorization"] == "Basic bWU64oKs"


# -- What it answers


def test_an_accepted_message_is_delivered_though_the_body_never_comes(receiver: Receiver, delivery: Delivery) -> None:
    def keep_the_body(itself: Receiver, handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "10")
        handler.end_headers()
        itself.over.wait(40)

    receiver.reply = keep_the_body
    began = time.monotonic()
    assert Webhook(receiver.url, timeout_s=30).deliver(delivery) == "200 OK"
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("header", [b"", b"Connection: close\r\n"], ids=["kept", "closed"])
def test_a_refusal_whose_body_drips_is_cut_off_at_the_time_limit(
    tcp_server: StartServer, delivery: Delivery, header: bytes
) -> None:
    cut = threading.Event()

    def drip(client: socket.socket) -> None:
        client.sendall(b"HTTP/1.1 500 No\r\n" + header + b"Content-Length: 60000\r\n\r\n")
        client.settimeout(0.02)
        try:
            while client.send(b"x"):
                with suppress(TimeoutError):
                    if client.recv(1) == b"":
                        break
        finally:
            cut.set()

    began = time.monotonic()
    said = refusal(f"http://127.0.0.1:{tcp_server(on_every_request(drip)).port}/", delivery, SLOW)
    assert "no complete answer within 0.4 s" in said
    assert time.monotonic() - began < SLOW + 10
    assert cut.wait(5), "the connection must be closed, not left to drip"
    until(lambda: not deliveries(), what="the delivery's thread to end")


@pytest.mark.parametrize(
    "piece",
    [b"HTTP/1.1 100 Continue\r\n\r\n", b"X: y\r\n", b"X", b" folded\r\n"],
    ids=["interim answers", "headers", "one header", "folded lines"],
)
def test_an_answer_that_never_begins_ends(tcp_server: StartServer, delivery: Delivery, piece: bytes) -> None:
    cut = threading.Event()

    def pour(client: socket.socket) -> None:
        if not piece.startswith(b"HTTP"):
            client.sendall(b"HTTP/1.1 200 OK\r\n")
        try:
            while True:
                client.sendall(piece * 1000)
        finally:
            cut.set()

    began = time.monotonic()
    tracemalloc.start()
    try:
        said = refusal(f"http://127.0.0.1:{tcp_server(on_every_request(pour)).port}/", delivery, SLOW)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "cannot be reached" in said
    assert len(said) < 300
    assert time.monotonic() - began < SLOW + 10
    assert peak < 20_000_000
    assert cut.wait(5), "the connection must be closed, not left full"
    until(lambda: not deliveries(), what="the delivery's thread to end")


def deliveries() -> list[threading.Thread]:
    """The threads of deliveries that are under way."""
    return [thread for thread in threading.enumerate() if thread.name == "delivery"]


def test_a_body_that_would_unfold_to_gigabytes_is_not_unfolded(receiver: Receiver, delivery: Delivery) -> None:
    bomb = gzip.compress(bytes(20_000_000))
    assert len(bomb) < BODY_MAX
    receiver.reply = lambda _, handler: answer(handler, 500, bomb, Content_Encoding="gzip")
    tracemalloc.start()
    try:
        said = refusal(receiver.url, delivery)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(said) < 400
    assert peak < 5_000_000


@pytest.mark.parametrize("length", [b"-1", b"1e9", b"99999999999999999999"], ids=repr)
def test_a_length_that_lies_changes_nothing(tcp_server: StartServer, delivery: Delivery, length: bytes) -> None:
    def lie(client: socket.socket) -> None:
        client.sendall(b"HTTP/1.1 500 No\r\nContent-Length: " + length + b"\r\nConnection: close\r\n\r\nbody")

    assert "500 No" in refusal(f"http://127.0.0.1:{tcp_server(on_every_request(lie)).port}/", delivery)


@pytest.mark.parametrize(
    "chunk", [b"ffffffffffffffff\r\nx", b"zz\r\n", b"4;" + b"x" * 70_000, b"-5\r\n"], ids=lambda chunk: repr(chunk[:9])
)
def test_chunks_that_lie_change_nothing(tcp_server: StartServer, delivery: Delivery, chunk: bytes) -> None:
    def lie(client: socket.socket) -> None:
        client.sendall(b"HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk)

    assert "500 No" in refusal(f"http://127.0.0.1:{tcp_server(on_every_request(lie)).port}/", delivery)


def test_a_handshake_that_never_comes_is_cut_off_at_the_time_limit(
    tcp_server: StartServer, delivery: Delivery
) -> None:
    def keep_silent(client: socket.socket) -> None:
        while client.recv(65536):
            pass

    said = refusal(f"https://127.0.0.1:{tcp_server(keep_silent).port}/", delivery, SLOW)
    assert "no complete answer within 0.4 s" in said


def test_an_old_protocol_is_refused(server_context: ssl.SSLContext, delivery: Delivery) -> None:
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        server_context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        server_context.minimum_version = ssl.TLSVersion.TLSv1
    receiver = Receiver()
    server = serve(receiver, server_context)
    try:
        assert "cannot be reached" in refusal(f"https://localhost:{receiver.port}/", delivery)
    finally:
        server.shutdown()
        server.server_close()
    assert receiver.requests == []
