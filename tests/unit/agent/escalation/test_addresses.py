"""Which addresses a webhook may be sent to."""

from __future__ import annotations

import pytest

from agent.escalation.addresses import is_refused, resolve


@pytest.mark.parametrize(
    "address",
    [
        "169.254.0.1",
        "169.254.169.254",
        "100.100.100.200",
        "192.0.0.192",
        "224.0.0.1",
        "fe80::1",
        "fe80::1%eth0",
        "febf::1",
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd00:42::42",
        "168.63.129.16",
        "ff02::1",
        "::ffff:169.254.169.254",
        "::169.254.169.254",
        "64:ff9b::169.254.169.254",
        "2002:a9fe:a9fe::1",
    ],
)
def test_where_metadata_may_answer_nothing_is_sent(address: str) -> None:
    assert is_refused(address)


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "::1", "10.0.0.1", "192.168.1.1", "fd12::1", "fd00:ec3::1", "8.8.8.8", "2606::1"]
)
def test_loopback_private_and_public_addresses_are_allowed(address: str) -> None:
    assert not is_refused(address)


def test_each_address_of_a_name_comes_once() -> None:
    addresses = resolve("localhost", 80)
    assert "127.0.0.1" in addresses
    assert len(set(addresses)) == len(addresses)
