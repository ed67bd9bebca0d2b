from __future__ import annotations

import pytest

from raftnomad.errors import ConfigurationError
from raftnomad.raft.reach import is_loopback, join_address, listening_host, require_certificates, split_address


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("10.0.0.1:4647", ("10.0.0.1", 4647)),
        ("web1", ("web1", 4648)),
        ("[::1]:5", ("::1", 5)),
        ("[::1]", ("::1", 4648)),
        ("fd00::1", ("fd00::1", 4648)),
        (" web1:5 ", ("web1", 5)),
    ],
)
def test_addresses_are_split(text: str, place: tuple[str, int]) -> None:
    assert split_address(text, 4648) == place
    assert split_address(join_address(*place)) == place


@pytest.mark.parametrize("text", ["", ":4647", "web1:", "web1:0", "web1:65536", "web1:x", "web1:-1", "web1:¹"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="is no address: write host:port"):
        split_address(text)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost", "LOCALHOST"])
def test_this_machine_needs_no_certificates(host: str) -> None:
    assert is_loopback(host)
    require_certificates([join_address(host, 1)])
    assert listening_host(host, False) == host


@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.1", "web1", "::", "localhost.evil.org"])
def test_beyond_it_does(host: str) -> None:
    assert not is_loopback(host)
    with pytest.raises(ConfigurationError, match="raftnomad tls ca create"):
        require_certificates([join_address(host, 1)])
    assert listening_host(host, False) == "127.0.0.1"
    assert listening_host(host, True) == host
