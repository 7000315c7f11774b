"""A host's addresses, looked up once and checked before anybody connects to them.

Refused are the addresses of cloud metadata services and the link-local ones among which most of them are: a webhook
must not be talked into asking them. Loopback and private addresses are allowed: an agent on one host reports nearby.
"""

from __future__ import annotations

import ipaddress
import socket

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

METADATA = tuple(
    ipaddress.ip_network(text)
    for text in (
        "fd00:ec2::/32",  # AWS: metadata, credentials of containers
        "fd20:ce::254",  # GCP
        "168.63.129.16",  # Azure: certificates and settings of the machine
        "100.100.100.200",  # Alibaba
        "192.0.0.192",  # Oracle
        "fd00:42::42",  # Scaleway
    )
)
"""What lies outside of the link-local ranges."""

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class RefusedAddress(ValueError):
    """An address that nothing may be sent to."""


def resolve(host: str, port: int) -> list[str]:
    """The addresses of `host`, in the order to try. Raises OSError when there is none, and RefusedAddress."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    for address in addresses:
        if is_refused(address):
            raise RefusedAddress(f"{host} leads to {address}, a link-local or metadata address")
    return addresses


def is_refused(text: str) -> bool:
    """Whether `text` is link-local, multicast or a metadata service, also when wrapped in an IPv6 address."""
    address = _unwrapped(ipaddress.ip_address(text.partition("%")[0]))
    return address.is_link_local or address.is_multicast or any(address in network for network in METADATA)


def _unwrapped(address: Address) -> Address:
    """The IPv4 address inside a mapped, compatible, NAT64 or 6to4 one."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64 or (int(address) >> 32 == 0 and int(address) > 1):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address
