"""Mails, sent to a real server on the loopback."""

from __future__ import annotations

import email
import email.policy
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path

import pytest
from aiosmtpd.smtp import Envelope

from agent.errors import ConfigError
from agent.escalation.channels import ChannelError, Email
from agent.outbox import Delivery
from tests.support.servers import Mailbox, TcpServer

SENDER, HUMAN = "sanaagent@host.test", "ops@example.test"


def mail_of(mailbox: Mailbox) -> EmailMessage:
    (envelope,) = mailbox.mails
    return opened(envelope)


def opened(envelope: Envelope) -> EmailMessage:
    assert isinstance(envelope.content, bytes)
    message = email.message_from_bytes(envelope.content, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def through(mailbox: Mailbox, credentials: str = "", scheme: str = "smtp", host: str = "127.0.0.1") -> str:
    return f"{scheme}://{credentials}{host}:{mailbox.port}"


def test_a_mail_reaches_everybody_it_is_meant_for(mailbox: Mailbox, delivery: Delivery) -> None:
    said = Email(through(mailbox), SENDER, f"Ops <{HUMAN}>, boss@example.test").deliver(delivery)
    assert said == "accepted for ops@example.test, boss@example.test"
    assert mailbox.mails[0].mail_from == SENDER
    assert mailbox.mails[0].rcpt_tos == [HUMAN, "boss@example.test"]


def test_a_mail_says_what_happened_since_when_and_what_to_do(mailbox: Mailbox, delivery: Delivery) -> None:
    Email(through(mailbox), SENDER, HUMAN).deliver(delivery)
    mail = mail_of(mailbox)
    assert mail["Subject"] == "[sanaagent] 3 pauses within 540 s"
    body = mail.get_body(("plain",))
    assert body is not None
    text = body.get_content()
    for part in ("3 pauses within 540 s.", "2026-11-22T16:00:00.000000Z", "2 of 8", "sanaagent stats", "unpause"):
        assert part in text
    (attachment,) = mail.iter_attachments()
    assert attachment.get_content() == delivery.payload.encode()


def test_the_same_delivery_has_the_same_message_id_on_every_try(mailbox: Mailbox, delivery: Delivery) -> None:
    channel = Email(through(mailbox), SENDER, HUMAN)
    channel.deliver(delivery)
    channel.deliver(replace(delivery, attempts=9))
    first, second = (opened(each)["Message-ID"] for each in mailbox.mails)
    assert first == second == "<review-1-5-7@host.test>"


def test_a_line_break_in_the_payload_begins_no_header(mailbox: Mailbox, delivery: Delivery) -> None:
    payload = '{"summary": "down\\r\\nBcc: all@example.test\\r\\n\\r\\nhello"}'
    Email(through(mailbox), SENDER, HUMAN).deliver(replace(delivery, payload=payload))
    mail = mail_of(mailbox)
    assert mail["Bcc"] is None
    assert mail["Subject"] == "[sanaagent] down Bcc: all@example.test hello"


def test_user_and_password_log_in(mailbox: Mailbox, delivery: Delivery) -> None:
    Email(through(mailbox, "me:p%40ss@"), SENDER, HUMAN).deliver(delivery)
    assert mailbox.logins == [(b"me", b"p@ss")]


def test_a_wrong_password_is_an_error_that_does_not_show_it(mailbox: Mailbox, delivery: Delivery) -> None:
    with pytest.raises(ChannelError, match="535") as refusal:
        Email(through(mailbox, "me:guess@"), SENDER, HUMAN).deliver(delivery)
    assert "guess" not in str(refusal.value)
    assert mailbox.mails == []


def test_starttls_comes_before_the_password_and_checks_the_name(
    starttls_mailbox: Mailbox, delivery: Delivery, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    Email(through(starttls_mailbox, "me:p%40ss@", "smtp+starttls", "localhost"), SENDER, HUMAN).deliver(delivery)
    assert (len(starttls_mailbox.logins), len(starttls_mailbox.mails)) == (1, 1)
    with pytest.raises(ChannelError, match="certificate verify failed"):
        Email(through(starttls_mailbox, scheme="smtp+starttls"), SENDER, HUMAN).deliver(delivery)


def test_a_server_without_starttls_gets_no_mail(mailbox: Mailbox, delivery: Delivery) -> None:
    with pytest.raises(ChannelError, match="STARTTLS"):
        Email(through(mailbox, "me:p%40ss@", "smtp+starttls"), SENDER, HUMAN).deliver(delivery)
    assert (mailbox.logins, mailbox.mails) == ([], [])


def test_smtps_speaks_tls_from_the_first_byte(
    tls_mailbox: Mailbox, delivery: Delivery, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    Email(through(tls_mailbox, scheme="smtps", host="localhost"), SENDER, HUMAN).deliver(delivery)
    assert len(tls_mailbox.mails) == 1


def test_who_was_refused_is_told_when_others_were_accepted(mailbox: Mailbox, delivery: Delivery) -> None:
    mailbox.refuse = {"gone@example.test"}
    said = Email(through(mailbox), SENDER, f"{HUMAN}, gone@example.test").deliver(delivery)
    assert said == "accepted for ops@example.test; refused for gone@example.test"


def test_a_mail_that_nobody_may_get_is_an_error(mailbox: Mailbox, delivery: Delivery) -> None:
    mailbox.refuse = {HUMAN}
    with pytest.raises(ChannelError, match="550"):
        Email(through(mailbox), SENDER, HUMAN).deliver(delivery)


def test_nobody_listening_is_an_error(closed_port: int, delivery: Delivery) -> None:
    with pytest.raises(ChannelError, match=rf"127\.0\.0\.1:{closed_port} did not take the mail"):
        Email(f"smtp://127.0.0.1:{closed_port}", SENDER, HUMAN).deliver(delivery)


def test_a_greeting_that_never_ends_is_cut_off_at_the_time_limit(
    tcp_server: Callable[[Callable[[socket.socket], None]], TcpServer], delivery: Delivery
) -> None:
    def greet(client: socket.socket) -> None:
        client.settimeout(0.02)
        while True:
            client.sendall(b"220-welcome\r\n")
            try:
                if client.recv(100) == b"":
                    return
            except TimeoutError:
                continue

    began = time.monotonic()
    with pytest.raises(ChannelError, match=r"no complete answer within 0\.3 s"):
        Email(f"smtp://127.0.0.1:{tcp_server(greet).port}", SENDER, HUMAN, timeout_s=0.3).deliver(delivery)
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("url", ["", "localhost:25", "http://localhost", "smtp://", "smtp://localhost:mail"])
def test_a_server_that_is_none_is_a_mistake_of_the_configuration(url: str) -> None:
    with pytest.raises(ConfigError, match=r"escalation\.smtp_url"):
        Email(url, SENDER, HUMAN)


@pytest.mark.parametrize("address", ["", "ops", "ops@", "ops@a.test\r\nBcc: b@a.test", "a@b@c"])
def test_an_address_that_is_none_is_a_mistake_of_the_configuration(address: str) -> None:
    with pytest.raises(ConfigError, match=r"escalation\.email_to"):
        Email("smtp://localhost", SENDER, address)
