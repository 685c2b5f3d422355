"""Which addresses are on the public internet."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from gateway.domain.addresses import is_public
from hypothesis import example, given
from hypothesis import strategies as st

V4 = st.ip_addresses(v=4)
V6 = st.ip_addresses(v=6)
NAT64 = int(IPv6Address("64:ff9b::"))
MAPPED = int(IPv6Address("::ffff:0:0"))
SIX_TO_FOUR = int(IPv6Address("2002::"))


@pytest.mark.parametrize(
    "address",
    [
        "1.1.1.1",
        "8.8.8.8",
        "100.63.255.255",
        "100.128.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "223.255.255.255",
        "2606:4700::1111",
        "2001:4860:4860::8888",
        "2a00:1450::1",
        "::ffff:8.8.8.8",
        "64:ff9b::8.8.8.8",
    ],
)
def test_addresses_of_the_internet_are_public(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "100.64.0.1",
        "100.100.100.200",
        "127.0.0.1",
        "127.255.255.255",
        "168.63.129.16",
        "169.254.169.254",
        "169.254.170.2",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.192",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.0.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",
        "::ffff:127.0.0.1",
        "::ffff:0:127.0.0.1",
        "64:ff9b::169.254.169.254",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:db8::1",
        "2002:a9fe:a9fe::",
        "2002:808:808::1",
        "3fff::1",
        "5f00::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "2606:4700::1111%eth0",
    ],
)
def test_every_special_range_is_closed(address: str) -> None:
    assert not is_public(ip_address(address))


@given(V4)
@example(IPv4Address("169.254.169.254"))
def test_an_ipv4_address_is_judged_alike_in_every_form_it_has(address: IPv4Address) -> None:
    public = is_public(address)
    assert is_public(IPv6Address(MAPPED | int(address))) == public
    assert is_public(IPv6Address(NAT64 | int(address))) == public
    assert not is_public(IPv6Address(SIX_TO_FOUR | int(address) << 80))


@given(V4 | V6)
def test_nothing_that_python_knows_as_special_is_public(address: IPv4Address | IPv6Address) -> None:
    inner = address.ipv4_mapped if isinstance(address, IPv6Address) and address.ipv4_mapped else address
    special = inner.is_private or inner.is_loopback or inner.is_link_local or inner.is_multicast or inner.is_unspecified
    assert not (special and is_public(address))
