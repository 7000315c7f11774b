"""Webhooks, sent to real servers on the loopback, decent and hostile ones."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from http.server import BaseHTTPRequestHandler

import pytest
from urllib3.connection import HTTPConnection

from agent.clock import Clock
from agent.errors import ConfigError
from agent.escalation.channels import BODY_MAX, ChannelError, Webhook
from agent.outbox import Delivery
from tests.support.servers import Receiver, TcpServer, answer

SLOW = 0.4  # seconds: the time limit of deliveries that run into it


def test_the_payload_is_posted_as_it_stands_in_the_outbox(receiver: Receiver, delivery: Delivery) -> None:
    assert Webhook(receiver.url).deliver(delivery) == "204 No Content"
    (request,) = receiver.requests
    assert request.path == "/hook?from=agent"
    assert request.body == delivery.payload.encode()
    assert request.headers["content-type"] == "application/json"
    assert request.headers["host"] == f"127.0.0.1:{receiver.port}"


@pytest.mark.parametrize(
    ("secret", "key"),
    [("whsec_" + base64.b64encode(b"\x00binary\xff").decode(), b"\x00binary\xff"), ("plain words", None)],
    ids=["base64", "two plain ones"],
)
def test_the_signature_is_that_of_standard_webhooks(
    receiver: Receiver, delivery: Delivery, secret: str, key: bytes | None
) -> None:
    Webhook(receiver.url, secret).deliver(delivery)
    (request,) = receiver.requests
    signed = b".".join(
        [request.headers["webhook-id"].encode(), request.headers["webhook-timestamp"].encode(), request.body]
    )
    keys = [key] if key else [b"plain", b"words"]
    expected = [base64.b64encode(hmac.new(each, signed, hashlib.sha256).digest()).decode() for each in keys]
    assert request.headers["webhook-signature"].split() == [f"v1,{signature}" for signature in expected]


def test_without_a_secret_nothing_is_signed(receiver: Receiver, delivery: Delivery) -> None:
    Webhook(receiver.url).deliver(delivery)
    assert "webhook-signature" not in receiver.requests[0].headers


def test_the_id_stays_the_same_on_every_try_and_the_timestamp_is_that_of_the_try(
    receiver: Receiver, delivery: Delivery
) -> None:
    class Later(Clock):
        def now(self) -> int:
            return 1_900_000_000_999_999

    Webhook(receiver.url, clock=Later()).deliver(delivery)
    Webhook(receiver.url).deliver(replace(delivery, attempts=5))
    first, second = (request.headers for request in receiver.requests)
    assert first["webhook-id"] == second["webhook-id"] == "review-1-5-7"
    assert first["webhook-timestamp"] == "1900000000"
    assert abs(int(second["webhook-timestamp"]) - time.time()) < 60


def test_localhost_is_reached_though_only_its_second_address_listens(receiver: Receiver, delivery: Delivery) -> None:
    assert Webhook(f"http://localhost:{receiver.port}/hook").deliver(delivery) == "204 No Content"
    assert receiver.requests[0].headers["host"] == f"localhost:{receiver.port}"


def test_user_and_password_of_the_url_are_sent_as_credentials_and_never_shown(
    receiver: Receiver, delivery: Delivery
) -> None:
    receiver.reply = lambda _, handler: answer(handler, 403)
    with pytest.raises(ChannelError) as refusal:
        Webhook(f"http://me:s%40fe@127.0.0.1:{receiver.port}/secret-path").deliver(delivery)
    assert base64.b64decode(receiver.requests[0].headers["authorization"].removeprefix("Basic ")) == b"me:s@fe"
    assert "fe@" not in str(refusal.value)
    assert "secret-path" not in str(refusal.value)


@pytest.mark.parametrize("status", [400, 404, 408, 429, 500, 503])
def test_any_refusal_is_an_error_that_quotes_the_answer(receiver: Receiver, delivery: Delivery, status: int) -> None:
    receiver.reply = lambda _, handler: answer(handler, status, b"not\x1b[31m today")
    with pytest.raises(ChannelError, match=rf"{status} .*not \[31m today"):
        Webhook(receiver.url).deliver(delivery)


def test_an_answer_may_ask_for_patience(receiver: Receiver, delivery: Delivery) -> None:
    receiver.reply = lambda _, handler: answer(handler, 503, Retry_After="120")
    with pytest.raises(ChannelError) as refusal:
        Webhook(receiver.url).deliver(delivery)
    assert refusal.value.retry_after_s == 120


def test_a_redirect_is_not_followed(receiver: Receiver, delivery: Delivery) -> None:
    receiver.reply = lambda itself, handler: answer(handler, 307, Location=itself.url)
    with pytest.raises(ChannelError, match=r"redirects are not followed: set escalation\.webhook_url"):
        Webhook(receiver.url).deliver(delivery)
    assert len(receiver.requests) == 1


def test_a_proxy_of_the_environment_is_not_used(
    receiver: Receiver, delivery: Delivery, closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{closed_port}")
    assert Webhook(receiver.url).deliver(delivery) == "204 No Content"


def test_headers_that_drip_are_cut_off_at_the_time_limit(
    tcp_server: Callable[[Callable[[socket.socket], None]], TcpServer], delivery: Delivery
) -> None:
    cut = threading.Event()

    def drip(client: socket.socket) -> None:
        client.sendall(b"HTTP/1.1 200 OK\r\nX: ")
        client.settimeout(0.02)
        while True:
            client.sendall(b"x")
            try:
                if client.recv(65536) == b"":
                    cut.set()
                    return
            except TimeoutError:
                continue

    began = time.monotonic()
    with pytest.raises(ChannelError, match=r"no complete answer within 0.4 s"):
        Webhook(f"http://127.0.0.1:{tcp_server(drip).port}/", timeout_s=SLOW).deliver(delivery)
    assert SLOW <= time.monotonic() - began < SLOW + 10
    assert cut.wait(5), "the connection must be closed, not left to drip"


def test_a_server_that_never_answers_is_left_at_the_time_limit(receiver: Receiver, delivery: Delivery) -> None:
    def keep_silent(itself: Receiver, _: BaseHTTPRequestHandler) -> None:
        itself.over.wait(10)

    receiver.reply = keep_silent
    with pytest.raises(ChannelError, match=r"no complete answer within 0.4 s"):
        Webhook(receiver.url, timeout_s=SLOW).deliver(delivery)


def test_a_body_that_never_ends_is_read_to_its_bound_only(receiver: Receiver, delivery: Delivery) -> None:
    def pour(itself: Receiver, handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(500)
        handler.end_headers()
        while not itself.over.is_set():
            handler.wfile.write(b"x" * BODY_MAX)

    receiver.reply = pour
    began = time.monotonic()
    with pytest.raises(ChannelError, match=r"answered 500 .*: 'x{200}'$"):
        Webhook(receiver.url).deliver(delivery)
    assert time.monotonic() - began < 20


def test_an_accepted_message_is_delivered_though_the_body_breaks_off(receiver: Receiver, delivery: Delivery) -> None:
    def break_off(_: Receiver, handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(202)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(b"but")

    receiver.reply = break_off
    assert Webhook(receiver.url).deliver(delivery) == "202 Accepted"


def test_a_connection_reset_after_the_request_is_an_error(
    tcp_server: Callable[[Callable[[socket.socket], None]], TcpServer], delivery: Delivery
) -> None:
    def reset(client: socket.socket) -> None:
        client.recv(65536)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()

    with pytest.raises(ChannelError, match="cannot be reached"):
        Webhook(f"http://127.0.0.1:{tcp_server(reset).port}/").deliver(delivery)


@pytest.mark.parametrize("noise", [b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 abc\r\n\r\n", b""], ids=repr)
def test_a_server_that_speaks_no_http_is_an_error(
    tcp_server: Callable[[Callable[[socket.socket], None]], TcpServer], delivery: Delivery, noise: bytes
) -> None:
    def say(client: socket.socket) -> None:
        client.recv(65536)
        client.sendall(noise)

    with pytest.raises(ChannelError, match="cannot be reached"):
        Webhook(f"http://127.0.0.1:{tcp_server(say).port}/").deliver(delivery)


def test_nobody_listening_is_an_error(closed_port: int, delivery: Delivery) -> None:
    with pytest.raises(ChannelError, match="refused"):
        Webhook(f"http://127.0.0.1:{closed_port}/").deliver(delivery)


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "[fe80::1]", "[fd00:ec2::254]", "[::ffff:169.254.169.254]", "[64:ff9b::a9fe:a9fe]"]
)
def test_metadata_and_link_local_addresses_are_refused(
    host: str, delivery: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HTTPConnection, "connect", lambda _: pytest.fail("it connects to where nothing must be sent"))
    with pytest.raises(ChannelError, match="a link-local or metadata address"):
        Webhook(f"http://{host}/latest").deliver(delivery)


@pytest.mark.parametrize(
    "url", ["", "localhost:8080/hook", "ftp://host/", "http://", "http://[::1/", "http://h:99999/"]
)
def test_a_url_that_is_none_is_a_mistake_of_the_configuration(url: str) -> None:
    with pytest.raises(ConfigError, match=r"escalation\.webhook_url"):
        Webhook(url)


@pytest.mark.parametrize("secret", ["whsec_???", "whsec_", "whsec_Zm9v whsec_"])
def test_a_secret_that_is_no_key_is_a_mistake_of_the_configuration(secret: str) -> None:
    with pytest.raises(ConfigError, match=r"escalation\.webhook_secret"):
        Webhook("http://localhost/", secret)


def test_https_is_verified_against_the_name_though_the_address_is_connected_to(
    secure_receiver: Receiver, delivery: Delivery, certificate: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert Webhook(f"https://localhost:{secure_receiver.port}/").deliver(delivery) == "204 No Content"
    with pytest.raises(ChannelError, match="certificate verify failed"):
        Webhook(f"https://127.0.0.1:{secure_receiver.port}/").deliver(delivery)
    assert [json.loads(request.body)["limit"] for request in secure_receiver.requests] == [2]


def test_an_unknown_authority_is_refused(secure_receiver: Receiver, delivery: Delivery) -> None:
    with pytest.raises(ChannelError, match="certificate verify failed"):
        Webhook(f"https://localhost:{secure_receiver.port}/").deliver(delivery)
