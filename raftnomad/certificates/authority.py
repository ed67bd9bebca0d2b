"""Making certificates: `tls ca create`, `tls cert create`, and what `tls ca info` and `tls cert info` read.

Functions do the work and return what was written; the command line prints. Errors are ConfigurationErrors with the
texts that Nomad prints; existing files are never overwritten.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from raftnomad.certificates import files
from raftnomad.clock import Clock, SystemClock
from raftnomad.errors import ConfigurationError

CA_DAYS = 1825
CERTIFICATE_DAYS = 365
ROLES = ("server", "client", "cli")


@dataclass(frozen=True, kw_only=True)
class Written:
    """The two files of a certificate and its key, as they were named: relative to the directory."""

    certificate: str
    key: str


@dataclass(frozen=True, kw_only=True)
class Subject:
    """The flags of `tls ca create` that customize the CA; given together or not at all."""

    common_name: str = ""
    country: str = ""
    organization: str = ""
    organizational_unit: str = ""
    postal_code: str = ""
    province: str = ""
    locality: str = ""
    street_address: str = ""


def create_ca(
    directory: Path,
    *,
    domain: str = "nomad",
    days: int = CA_DAYS,
    subject: Subject | None = None,
    name_constraint: bool = False,
    additional_domains: Sequence[str] = (),
    clock: Clock | None = None,
) -> Written:
    """`tls ca create`: `<domain>-agent-ca.pem` and `<domain>-agent-ca-key.pem`.

    name_constraint: the CA may sign only for the domain, `localhost` and the additional domains.
    """
    subject = subject or Subject()
    written = Written(certificate=f"{domain}-agent-ca.pem", key=f"{domain}-agent-ca-key.pem")
    _refuse_existing(directory, written, "CA certificate")
    if additional_domains and not name_constraint:
        raise ConfigurationError("Please provide the -name-constraint flag to use a custom domain constraint")
    _refuse_incomplete(subject)
    _refuse_days(days)
    serial = x509.random_serial_number()
    key = ec.generate_private_key(ec.SECP256R1())
    name = _ca_name(subject, serial)
    builder = (
        _dated(x509.CertificateBuilder(), days, clock)
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_key_usage(ca=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
    )
    if name_constraint:
        permitted = [x509.DNSName(allowed) for allowed in dict.fromkeys([domain, "localhost", *additional_domains])]
        builder = builder.add_extension(x509.NameConstraints(permitted, None), critical=True)
    _write(directory, written, builder.sign(key, hashes.SHA256()), key)
    return written


def create_certificate(
    directory: Path,
    role: str,
    *,
    region: str = "global",
    domain: str = "nomad",
    days: int = CERTIFICATE_DAYS,
    ca: str = "",
    key: str = "",
    additional_dns_names: Sequence[str] = (),
    additional_ip_addresses: Sequence[str] = (),
    clock: Clock | None = None,
) -> Written:
    """`tls cert create -<role>`: `<region>-<role>-<domain>.pem` and its key, signed by `ca` with `key`.

    ca, key: paths, from the directory on; by default the files that `create_ca` writes for the domain.
    A server's certificate gives the right to become a server: the command line warns of that.
    """
    if role not in ROLES:
        raise ConfigurationError("Please provide either -server, -client, or -cli")
    written = Written(certificate=f"{region}-{role}-{domain}.pem", key=f"{region}-{role}-{domain}-key.pem")
    _refuse_existing(directory, written, "Certificate")
    _refuse_days(days)
    authority, authority_key = _read_authority(directory, ca_paths(domain, ca, key))
    own_key = ec.generate_private_key(ec.SECP256R1())
    common_name = f"{role}.{region}.{domain}"
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH] + ([] if role == "cli" else [ExtendedKeyUsageOID.SERVER_AUTH])
    certificate = (
        _dated(x509.CertificateBuilder(), days, clock)
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]))
        .issuer_name(authority.subject)
        .public_key(own_key.public_key())
        .serial_number(x509.random_serial_number())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(ca=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(own_key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .add_extension(_names(common_name, additional_dns_names, additional_ip_addresses), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    _write(directory, written, certificate, own_key)
    return written


def ca_paths(domain: str = "nomad", ca: str = "", key: str = "") -> Written:
    """The files that `tls cert create` signs with, for its first line of output."""
    return Written(certificate=ca or f"{domain}-agent-ca.pem", key=key or f"{domain}-agent-ca-key.pem")


@dataclass(frozen=True, kw_only=True)
class CertificateInfo:
    """What `tls ca info` and `tls cert info` print."""

    serial_number: str
    issuer_common_name: str
    subject: str
    expires: datetime.datetime
    dns_names: tuple[str, ...]
    ip_addresses: tuple[str, ...]
    permitted_dns_domains: tuple[str, ...]


def certificate_info(path: Path | str, kind: str = "certificate") -> CertificateInfo:
    """kind: `certificate` or `CA`, as the error names it."""
    try:
        certificate = files.certificates(path)[0]
    except ConfigurationError as error:
        raise ConfigurationError(f"Error reading {kind} file: {error}") from error
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.NameConstraints).value
        permitted = [str(name.value) for name in constraints.permitted_subtrees or []]
    except x509.ExtensionNotFound:
        permitted = []
    issuers = certificate.issuer.get_attributes_for_oid(NameOID.COMMON_NAME)
    return CertificateInfo(
        serial_number=str(certificate.serial_number),
        issuer_common_name=str(issuers[0].value) if issuers else "",
        subject=certificate.subject.rfc4514_string(),
        expires=certificate.not_valid_after_utc,
        dns_names=files.dns_names(certificate),
        ip_addresses=files.ip_addresses(certificate),
        permitted_dns_domains=tuple(permitted),
    )


# What goes into them.


def _ca_name(subject: Subject, serial: int) -> x509.Name:
    if not subject.common_name:
        subject = Subject(common_name=f"Nomad Agent CA {serial}", organization="raftnomad")
    fields = [
        (NameOID.COUNTRY_NAME, subject.country),
        (NameOID.STATE_OR_PROVINCE_NAME, subject.province),
        (NameOID.LOCALITY_NAME, subject.locality),
        (NameOID.STREET_ADDRESS, subject.street_address),
        (NameOID.POSTAL_CODE, subject.postal_code),
        (NameOID.ORGANIZATION_NAME, subject.organization),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, subject.organizational_unit),
        (NameOID.COMMON_NAME, subject.common_name),
    ]
    try:
        return x509.Name([x509.NameAttribute(oid, value) for oid, value in fields if value])
    except ValueError as error:
        raise ConfigurationError(f"the CA's name can't be written into a certificate: {error}") from error


def _names(common_name: str, dns_names: Sequence[str], addresses: Sequence[str]) -> x509.SubjectAlternativeName:
    try:
        hosts = [x509.DNSName(name) for name in dict.fromkeys([common_name, "localhost", *dns_names])]
        parsed = [ipaddress.ip_address(address) for address in dict.fromkeys(["127.0.0.1", *addresses])]
    except ValueError as error:
        raise ConfigurationError(f"the certificate's names: {error}") from error
    return x509.SubjectAlternativeName([*hosts, *(x509.IPAddress(address) for address in parsed)])


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=ca,
        crl_sign=ca,
        key_encipherment=False,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _dated(builder: x509.CertificateBuilder, days: int, clock: Clock | None) -> x509.CertificateBuilder:
    now = datetime.datetime.fromtimestamp((clock or SystemClock()).now_ns() // 1_000_000_000, datetime.UTC)
    # A minute back, for machines whose clocks are a little behind.
    begin = now - datetime.timedelta(minutes=1)
    return builder.not_valid_before(begin).not_valid_after(now + datetime.timedelta(days=days))


# What is refused.


def _refuse_existing(directory: Path, written: Written, kind: str) -> None:
    for path, what in ((written.certificate, ""), (written.key, " key")):
        if (directory / path).exists():
            raise ConfigurationError(f"{kind}{what} file '{path}' already exists")


def _refuse_incomplete(subject: Subject) -> None:
    if subject == Subject():
        return
    flags = {
        "-common-name": subject.common_name,
        "-country": subject.country,
        "-organization": subject.organization,
        "-organizational-unit": subject.organizational_unit,
    }
    for flag, value in flags.items():
        if not value:
            raise ConfigurationError(f"Please provide the {flag} flag when customizing the CA")


def _refuse_days(days: int) -> None:
    if not 0 < days <= 36_500:
        raise ConfigurationError(f"-days {days}: a certificate is valid for 1 to 36500 days")


def _read_authority(directory: Path, paths: Written) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    try:
        authority = files.certificates(_in(directory, paths.certificate))[0]
    except ConfigurationError as error:
        raise ConfigurationError(f"Error reading CA: {_from(directory, error)}") from error
    try:
        key = files.private_key(_in(directory, paths.key))
    except ConfigurationError as error:
        raise ConfigurationError(f"Error reading CA key: {_from(directory, error)}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ConfigurationError(f"Error reading CA key: {paths.key} is no elliptic-curve key")
    if files.public_bytes(authority.public_key()) != files.public_bytes(key.public_key()):
        raise ConfigurationError(f"{paths.key} is not the key of {paths.certificate}")
    return authority, key


def _in(directory: Path, path: str) -> Path:
    return directory / path


def _from(directory: Path, error: ConfigurationError) -> str:
    """The path as the user wrote it, not as it was opened."""
    return str(error).replace(f"{directory}/", "") if str(directory) != "." else str(error)


def _write(directory: Path, written: Written, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    key_bytes = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    _write_new(directory / written.key, key_bytes, 0o600)
    _write_new(directory / written.certificate, certificate.public_bytes(serialization.Encoding.PEM), 0o644)


def _write_new(path: Path, content: bytes, mode: int) -> None:
    """Never overwrites, never follows a link, and is never readable by more than it shall be."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
    except OSError as error:
        raise ConfigurationError(f"can't write {path}: {error.strerror or error}") from error
