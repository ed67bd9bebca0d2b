"""The `tls` block made into contexts for connections, with errors that name the key, the file and the reason."""

from __future__ import annotations

import datetime
import ssl
from dataclasses import dataclass

from cryptography import x509

from raftnomad.certificates import files
from raftnomad.certificates.roles import handshake_failure, role_refusal
from raftnomad.clock import Clock, SystemClock
from raftnomad.errors import ConfigurationError


@dataclass(frozen=True, kw_only=True)
class TlsSettings:
    """The `tls` block, as far as connections need it. Paths of PEM files.

    http, rpc: whether the http port is encrypted, and whether the rpc and serf ports are.
    verify_server_hostname: requests that go on to a node's https port need a certificate made for its role. Whoever
    calls a server's rpc or serf port always checks that it is `server.<region>.nomad`.
    verify_https_client: the http port asks every caller for a certificate of the CA.
    """

    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    http: bool = False
    rpc: bool = False
    verify_server_hostname: bool = False
    verify_https_client: bool = False


def rpc_server_context(settings: TlsSettings) -> ssl.SSLContext:
    """For the rpc port or the serf port, a context for each: callers have to show a certificate of the CA.

    Raises ConfigurationError.
    """
    context = _loaded(ssl.PROTOCOL_TLS_SERVER, settings)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def rpc_client_context(settings: TlsSettings, *, verify_name: bool = True) -> ssl.SSLContext:
    """For calling the rpc port or the serf port, a context for each, with `server_hostname=roles.server_name(region)`.

    verify_name: whether the other side's certificate must be made for that name; True for every call to a server.
    Raises ConfigurationError.
    """
    context = _loaded(ssl.PROTOCOL_TLS_CLIENT, settings)
    context.check_hostname = verify_name
    return context


def http_server_context(settings: TlsSettings) -> ssl.SSLContext:
    """For the http port. Raises ConfigurationError."""
    context = _loaded(ssl.PROTOCOL_TLS_SERVER, settings)
    context.verify_mode = ssl.CERT_REQUIRED if settings.verify_https_client else ssl.CERT_NONE
    return context


def _loaded(protocol: int, settings: TlsSettings) -> ssl.SSLContext:
    check_files(settings)
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_verify_locations(settings.ca_file)
        context.load_cert_chain(settings.cert_file, settings.key_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"tls: {settings.cert_file}: {handshake_failure(error)}") from error
    return context


def check_files(settings: TlsSettings, clock: Clock | None = None) -> None:
    """Raises ConfigurationError unless the files are a certificate that is valid today, its key, and its CA."""
    for key in ("ca_file", "cert_file", "key_file"):
        if not getattr(settings, key):
            raise ConfigurationError(
                f"tls.{key} is not set: make the files with `raftnomad tls ca create` and `raftnomad tls cert create`"
            )
    now = datetime.datetime.fromtimestamp((clock or SystemClock()).now_ns() / 1e9, datetime.UTC)
    try:
        authorities = files.certificates(settings.ca_file)
        chain = files.certificates(settings.cert_file)
        key_bytes = files.public_bytes(files.private_key(settings.key_file).public_key())
    except ConfigurationError as error:
        raise ConfigurationError(f"tls: {error}") from error
    _check_dates("ca_file", settings.ca_file, authorities[0], now)
    _check_dates("cert_file", settings.cert_file, chain[0], now)
    if files.public_bytes(chain[0].public_key()) != key_bytes:
        raise ConfigurationError(f"tls.key_file: {settings.key_file} is not the key of {settings.cert_file}")
    if not any(files.issued_by(chain[-1], authority) for authority in authorities):
        raise ConfigurationError(f"tls.cert_file: {settings.cert_file} was not made by the CA of {settings.ca_file}")


def _check_dates(key: str, path: str, certificate: x509.Certificate, now: datetime.datetime) -> None:
    if certificate.not_valid_after_utc < now:
        raise ConfigurationError(f"tls.{key}: {path} expired on {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC")
    if certificate.not_valid_before_utc > now:
        since = f"{certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
        raise ConfigurationError(f"tls.{key}: {path} is not valid before {since}: is this machine's clock right?")


def check_role(settings: TlsSettings, role: str, region: str) -> None:
    """Raises ConfigurationError when the certificate was not made for `server` or `client` of this region.

    A server's serves a client too: the rpc port takes either from client agents.
    """
    names = files.dns_names(files.certificates(settings.cert_file)[0])
    refusal = role_refusal(names, roles=("server",) if role == "server" else (role, "server"), region=region)
    if refusal:
        raise ConfigurationError(
            f"tls.cert_file: {settings.cert_file}: {refusal}; make one with "
            f"`raftnomad tls cert create -{role} -region {region}`"
        )
