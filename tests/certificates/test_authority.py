from __future__ import annotations

import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from cryptography import x509

from raftnomad.certificates.authority import Subject, certificate_info, create_ca, create_certificate
from raftnomad.errors import ConfigurationError


def test_a_ca_is_written_under_nomads_names(tmp_path: Path) -> None:
    written = create_ca(tmp_path)
    assert (written.certificate, written.key) == ("nomad-agent-ca.pem", "nomad-agent-ca-key.pem")
    assert stat.S_IMODE((tmp_path / written.key).stat().st_mode) == 0o600
    info = certificate_info(tmp_path / written.certificate, "CA")
    assert info.issuer_common_name == f"Nomad Agent CA {info.serial_number}"
    assert info.permitted_dns_domains == ()


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    create_ca(tmp_path)
    with pytest.raises(ConfigurationError, match=r"^CA certificate file 'nomad-agent-ca.pem' already exists$"):
        create_ca(tmp_path)
    create_certificate(tmp_path, "server")
    with pytest.raises(ConfigurationError, match=r"^Certificate file 'global-server-nomad.pem' already exists$"):
        create_certificate(tmp_path, "server")
    with pytest.raises(ConfigurationError, match=r"^Certificate file 'global-server-nomad.pem' already exists$"):
        create_certificate(tmp_path, "server", ca="none.pem", key="none-key.pem")


@pytest.mark.parametrize(
    ("role", "region", "stem"),
    [
        ("server", "global", "global-server-nomad"),
        ("client", "eu", "eu-client-nomad"),
        ("cli", "global", "global-cli-nomad"),
    ],
)
def test_a_certificate_carries_role_and_region(tmp_path: Path, role: str, region: str, stem: str) -> None:
    create_ca(tmp_path)
    written = create_certificate(tmp_path, role, region=region)
    assert (written.certificate, written.key) == (f"{stem}.pem", f"{stem}-key.pem")
    info = certificate_info(tmp_path / written.certificate)
    assert info.subject == f"CN={role}.{region}.nomad"
    assert info.dns_names == (f"{role}.{region}.nomad", "localhost")
    assert info.ip_addresses == ("127.0.0.1",)


def test_more_names_and_addresses_are_added_once(tmp_path: Path) -> None:
    create_ca(tmp_path)
    written = create_certificate(
        tmp_path,
        "client",
        region="us",
        additional_dns_names=["web.example.org", "localhost"],
        additional_ip_addresses=["127.0.0.1", "::1", "10.0.0.1"],
    )
    info = certificate_info(tmp_path / written.certificate)
    assert info.dns_names == ("client.us.nomad", "localhost", "web.example.org")
    assert info.ip_addresses == ("127.0.0.1", "::1", "10.0.0.1")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"role": "boss"}, "Please provide either -server, -client, or -cli"),
        ({"ca": "none.pem"}, "Error reading CA: open none.pem: no such file or directory"),
        ({"key": "none.pem"}, "Error reading CA key: open none.pem: no such file or directory"),
        ({"additional_ip_addresses": ["10.0.0"]}, "'10.0.0' does not appear to be"),
        ({"days": 0}, "-days 0"),
    ],
)
def test_what_a_certificate_can_not_be_made_of(tmp_path: Path, arguments: dict[str, object], text: str) -> None:
    create_ca(tmp_path)
    with pytest.raises(ConfigurationError) as refusal:
        create_certificate(tmp_path, **({"role": "server"} | arguments))  # type: ignore[arg-type]
    assert text in str(refusal.value)
    assert len(list(tmp_path.iterdir())) == 2


def test_without_a_ca_the_missing_file_is_named_as_the_user_knows_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"^Error reading CA: open nomad-agent-ca.pem: no such file"):
        create_certificate(tmp_path, "server")


def test_a_ca_with_a_foreign_key_signs_nothing(tmp_path: Path) -> None:
    create_ca(tmp_path)
    create_ca(tmp_path, domain="other")
    with pytest.raises(ConfigurationError, match=r"other-agent-ca-key.pem is not the key of nomad-agent-ca.pem"):
        create_certificate(tmp_path, "server", key="other-agent-ca-key.pem")


def test_a_customized_ca_needs_all_of_its_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"^Please provide the -country flag when customizing the CA$"):
        create_ca(tmp_path, domain="example.org", days=30, subject=Subject(common_name="Example CA"))
    subject = Subject(common_name="Example CA", country="DE", organization="Example", organizational_unit="Ops")
    written = create_ca(tmp_path, domain="example.org", days=30, subject=subject)
    assert written.certificate == "example.org-agent-ca.pem"
    assert certificate_info(tmp_path / written.certificate).subject == "CN=Example CA,OU=Ops,O=Example,C=DE"


def test_a_constrained_ca_is_valid_for_its_domains_alone(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="Please provide the -name-constraint flag to use a custom domain"):
        create_ca(tmp_path, domain="third.example", additional_domains=["a.example"])
    written = create_ca(tmp_path, name_constraint=True, additional_domains=["a.example"])
    assert certificate_info(tmp_path / written.certificate).permitted_dns_domains == ("nomad", "localhost", "a.example")


def test_a_file_that_is_no_certificate_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.pem").write_text("no")
    with pytest.raises(ConfigurationError, match=r"Error reading certificate file: .*x.pem holds no certificate"):
        certificate_info(tmp_path / "x.pem")
    with pytest.raises(ConfigurationError, match=r"Error reading CA file: open .*none.pem: no such file or directory"):
        certificate_info(tmp_path / "none.pem", "CA")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command")
@pytest.mark.parametrize("role", ["server", "client", "cli"])
def test_openssl_accepts_them_strictly(tmp_path: Path, role: str) -> None:
    create_ca(tmp_path, name_constraint=True)
    written = create_certificate(tmp_path, role)
    purpose = "sslclient" if role == "cli" else "sslserver"
    command = ["openssl", "verify", "-x509_strict", "-purpose", purpose, "-CAfile", "nomad-agent-ca.pem"]
    subprocess.run([*command, written.certificate], cwd=tmp_path, check=True, capture_output=True)
    assert x509.load_pem_x509_certificate((tmp_path / written.certificate).read_bytes()).version == x509.Version.v3
