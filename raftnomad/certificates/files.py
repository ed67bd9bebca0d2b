"""Certificate and key files, read with errors that name the file."""

from __future__ import annotations

from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes

from raftnomad.errors import ConfigurationError


def read(path: str | Path) -> bytes:
    """Raises ConfigurationError in the words of Nomad's users: `open x.pem: no such file or directory`."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigurationError(f"open {path}: {(error.strerror or str(error)).lower()}") from error


def certificates(path: str | Path) -> list[x509.Certificate]:
    """All certificates of a PEM file, at least one. Raises ConfigurationError."""
    try:
        return x509.load_pem_x509_certificates(read(path))
    except ValueError as error:
        raise ConfigurationError(f"{path} holds no certificate in PEM form") from error


def private_key(path: str | Path) -> PrivateKeyTypes:
    """Raises ConfigurationError."""
    try:
        return serialization.load_pem_private_key(read(path), password=None)
    except TypeError as error:
        raise ConfigurationError(f"{path} is protected by a password: give a key without one") from error
    except ValueError as error:
        raise ConfigurationError(f"{path} holds no private key in PEM form") from error


def public_bytes(key: PublicKeyTypes) -> bytes:
    """For telling whether two keys are the same."""
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def issued_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def dns_names(certificate: x509.Certificate) -> tuple[str, ...]:
    names = _alternative_names(certificate)
    return () if names is None else tuple(names.get_values_for_type(x509.DNSName))


def ip_addresses(certificate: x509.Certificate) -> tuple[str, ...]:
    names = _alternative_names(certificate)
    return () if names is None else tuple(str(ip) for ip in names.get_values_for_type(x509.IPAddress))


def _alternative_names(certificate: x509.Certificate) -> x509.SubjectAlternativeName | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None
