from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from raftnomad.certificates.settings import (
    TlsSettings,
    check_files,
    check_role,
    http_server_context,
    rpc_server_context,
)
from raftnomad.errors import ConfigurationError
from tests.certificate_files import Certificates


@pytest.fixture
def made(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path)


def test_a_certificate_of_the_ca_is_accepted(made: Certificates) -> None:
    settings = made.settings()
    check_files(settings)
    check_role(settings, "server", "global")
    rpc_server_context(settings)
    http_server_context(settings)


def refused(settings: TlsSettings) -> str:
    with pytest.raises(ConfigurationError) as refusal:
        rpc_server_context(settings)
    return str(refusal.value)


def test_the_missing_file_is_named(made: Certificates) -> None:
    assert "tls.ca_file is not set" in refused(TlsSettings())
    missing = dataclasses.replace(made.settings(), key_file="/nowhere/key.pem")
    assert refused(missing) == "tls: open /nowhere/key.pem: no such file or directory"


def test_the_file_that_is_something_else_is_named(made: Certificates, tmp_path: Path) -> None:
    settings = made.settings()
    assert "global-server-nomad-key.pem holds no certificate in PEM form" in refused(
        dataclasses.replace(settings, cert_file=settings.key_file)
    )
    assert "global-server-nomad.pem holds no private key in PEM form" in refused(
        dataclasses.replace(settings, key_file=settings.cert_file)
    )
    key = serialization.load_pem_private_key(Path(settings.key_file).read_bytes(), None)
    locked = tmp_path / "locked.pem"
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x")
        )
    )
    assert "locked.pem is protected by a password" in refused(dataclasses.replace(settings, key_file=str(locked)))


def test_a_foreign_key_a_foreign_ca_and_an_expired_certificate_are_named(made: Certificates) -> None:
    settings = made.settings()
    foreign = made.settings("client")
    assert "global-client-nomad-key.pem is not the key of" in refused(
        dataclasses.replace(settings, key_file=foreign.key_file)
    )
    assert "was not made by the CA of" in refused(made.settings(kind="theirs"))
    assert "tls.cert_file" in (expired := refused(made.settings(kind="expired"))) and " expired on " in expired


def test_the_wrong_role_or_region_names_the_command_that_helps(made: Certificates) -> None:
    with pytest.raises(
        ConfigurationError, match=r"for client.global.nomad.*`raftnomad tls cert create -server -region"
    ):
        check_role(made.settings("client"), "server", "global")
    check_role(made.settings(), "client", "global")
    with pytest.raises(ConfigurationError, match=r"not for server.eu.nomad"):
        check_role(made.settings(), "server", "eu")
