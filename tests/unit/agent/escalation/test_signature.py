"""Signatures, checked by a receiver that was written from the specification of Standard Webhooks alone.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Mapping
from dataclasses import replace

import pytest

from agent.escalation.channels import Webhook
from agent.outbox import Delivery
from tests.support.servers import Receiver

TOLERANCE_S = 5 * 60


class Refused(Exception):
    """The message may not be from whom it seems to be."""


def verify(secret: str, headers: Mapping[str, str], body: bytes, now: float) -> None:
    """Raises Refused unless the message was signed with the secret a short while ago."""
    name, stamp = headers["webhook-id"], headers["webhook-timestamp"]
    if abs(now - int(stamp)) > TOLERANCE_S:
        raise Refused("too old, or from the future")
    key, signed = base64.b64decode(secret.removeprefix("whsec_")), b".".join([name.encode(), stamp.encode(), body])
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest())
    for signature in headers["webhook-signature"].split(" "):
        version, _, value = signature.partition(",")
        if version == "v1" and hmac.compare_digest(value.encode(), expected):
            return
    raise Refused("no signature fits")


def new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


@pytest.mark.parametrize(
    ("secret", "name", "stamp", "body", "signature"),
    [
        (
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}',
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        ),
        (
            "whsec_plJ3nmyCDGBKInavdOK15jsl",
            "msg_loFOjxBNrRLzqYUf", 1731705121, b'{"event_type":"ping","data":{"success":true}}',
            "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0=",
        ),
    ],
    ids=["the reference libraries'", "the documentation's"],
)  # fmt: skip
def test_the_receiver_takes_the_published_examples(
    secret: str, name: str, stamp: int, body: bytes, signature: str
) -> None:
    headers = {"webhook-id": name, "webhook-timestamp": str(stamp), "webhook-signature": signature}
    verify(secret, headers, body, now=stamp + 60)
    with pytest.raises(Refused):
        verify(secret, headers, body + b" ", now=stamp + 60)


def test_a_receiver_takes_what_is_delivered(receiver: Receiver, delivery: Delivery) -> None:
    secret = new_secret()
    for payload in (delivery.payload, '{"ä":"€ \\u0000"}', "{}"):
        Webhook(receiver.url, secret).deliver(replace(delivery, payload=payload))
    for request in receiver.requests:
        verify(secret, request.headers, request.body, time.time())


@pytest.mark.parametrize("header", ["webhook-id", "webhook-timestamp", "webhook-signature", "body", "secret"])
def test_a_receiver_refuses_what_was_changed_on_the_way(receiver: Receiver, delivery: Delivery, header: str) -> None:
    secret = new_secret()
    Webhook(receiver.url, secret).deliver(delivery)
    (request,) = receiver.requests
    changed = {
        "webhook-id": request.headers["webhook-id"] + "0",
        "webhook-timestamp": str(int(request.headers["webhook-timestamp"]) + 1),
        "webhook-signature": "v1," + base64.b64encode(bytes(32)).decode(),
    }
    headers = request.headers | {name: value for name, value in changed.items() if name == header}
    body = request.body + b" " if header == "body" else request.body
    with pytest.raises(Refused, match="no signature fits"):
        verify(new_secret() if header == "secret" else secret, headers, body, time.time())


def test_a_receiver_refuses_what_somebody_sends_again_later(receiver: Receiver, delivery: Delivery) -> None:
    secret = new_secret()
    Webhook(receiver.url, secret).deliver(delivery)
    (request,) = receiver.requests
    with pytest.raises(Refused, match="too old"):
        verify(secret, request.headers, request.body, time.time() + TOLERANCE_S + 60)


def test_while_a_secret_is_replaced_receivers_with_either_take_it(receiver: Receiver, delivery: Delivery) -> None:
    old, new = new_secret(), new_secret()
    Webhook(receiver.url, f"{new} {old}").deliver(delivery)
    (request,) = receiver.requests
    for secret in (old, new):
        verify(secret, request.headers, request.body, time.time())
    with pytest.raises(Refused):
        verify(new_secret(), request.headers, request.body, time.time())
