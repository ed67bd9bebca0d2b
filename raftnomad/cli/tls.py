"""`tls ca create`, `tls cert create`, and `info` of both: the certificates with which agents trust each other."""

from __future__ import annotations

import datetime
from pathlib import Path

import click

from raftnomad.cli.flags import command, option, switch
from raftnomad.cli.output import columns, error, out
from raftnomad.errors import ConfigurationError, RaftnomadError

SERVER_WARNING = """\
==> WARNING: Server Certificates grants authority to become a
    server and access all state in the cluster including root keys
    and all ACL tokens. Do not distribute them to production hosts
    that are not server nodes. Store them as securely as CA keys."""

_SUBJECT = (
    ("common-name", "The common name of the CA"),
    ("country", "The country of the CA"),
    ("organization", "The organization of the CA"),
    ("organizational-unit", "The unit of the organization"),
    ("postal-code", "The postal code of the CA"),
    ("province", "The province of the CA"),
    ("locality", "The locality of the CA"),
    ("street-address", "The street address of the CA"),
)


def _subject_flags(function: click.decorators.FC) -> click.decorators.FC:
    for name, text in reversed(_SUBJECT):
        function = option(name, text, default="")(function)
    return function


@command("[options]")
@option("domain", "The domain of the cluster", default="nomad")
@option("days", "How long the CA is valid", type=int, default=1825)
@switch("name-constraint", "The CA may sign only for the domain, localhost and additional domains")
@option("additional-domain", "Another domain that the CA may sign for", multiple=True)
@_subject_flags
@click.argument("arguments", nargs=-1)
def ca_create(
    domain: str,
    days: int,
    name_constraint: bool,
    additional_domain: tuple[str, ...],
    arguments: tuple[str, ...],
    **subject: str,
) -> int:
    """Make a certificate authority for a cluster, in the current folder."""
    from raftnomad.certificates.authority import Subject, create_ca

    written = create_ca(
        Path(),
        domain=domain,
        days=days,
        subject=Subject(**subject),
        name_constraint=name_constraint,
        additional_domains=additional_domain,
    )
    out(f"==> CA certificate saved to: {written.certificate}")
    out(f"==> CA certificate key saved to: {written.key}")
    return 0


@command("[options]")
@switch("server", "A certificate for a server", variable="as_server")
@switch("client", "A certificate for a client agent", variable="as_client")
@switch("cli", "A certificate for the command line", variable="as_cli")
@option("region", "The region of the agent", default="global")
@option("cluster-region", "The same as -region", default="")
@option("dc", "Accepted for Nomad's sake", default="")
@option("domain", "The domain of the cluster", default="nomad")
@option("days", "How long the certificate is valid", type=int, default=365)
@option("ca", "The certificate of the CA, by default nomad-agent-ca.pem", default="")
@option("key", "The key of the CA, by default nomad-agent-ca-key.pem", default="")
@option("additional-dnsname", "Another name to put into the certificate", multiple=True)
@option("additional-ipaddress", "Another address to put into the certificate", multiple=True)
@click.argument("arguments", nargs=-1)
def cert_create(
    as_server: bool,
    as_client: bool,
    as_cli: bool,
    region: str,
    cluster_region: str,
    dc: str,
    domain: str,
    days: int,
    ca: str,
    key: str,
    additional_dnsname: tuple[str, ...],
    additional_ipaddress: tuple[str, ...],
    arguments: tuple[str, ...],
) -> int:
    """Make a certificate for an agent, in the current folder; it names role and region."""
    from raftnomad.certificates.authority import ca_paths, create_certificate

    roles = [role for role, wanted in (("server", as_server), ("client", as_client), ("cli", as_cli)) if wanted]
    if len(roles) != 1:
        raise RaftnomadError("Please provide either -server, -client, or -cli")
    role = roles[0]
    written = create_certificate(
        Path(),
        role,
        region=cluster_region or region,
        domain=domain,
        days=days,
        ca=ca,
        key=key,
        additional_dns_names=additional_dnsname,
        additional_ip_addresses=additional_ipaddress,
    )
    signed_with = ca_paths(domain, ca, key)
    if role == "server":
        error(SERVER_WARNING)
    out(f"==> Using CA file {signed_with.certificate} and CA key {signed_with.key}")
    out(f"==> {role.capitalize()} Certificate saved to {written.certificate}")
    out(f"==> {'CLI' if role == 'cli' else role.capitalize()} Certificate key saved to {written.key}")
    return 0


def _when(moment: datetime.datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} +0000 UTC"


@command("<CA file>")
@click.argument("arguments", nargs=-1)
def ca_info(arguments: tuple[str, ...]) -> int:
    """Show what a CA's certificate says."""
    from raftnomad.certificates.authority import certificate_info

    if len(arguments) != 1:
        raise ConfigurationError("Error reading CA file: <nil>")
    info = certificate_info(arguments[0], "CA")
    rows = [
        ["Serial Number", info.serial_number],
        ["Issuer CN", info.issuer_common_name],
        ["Common Name", info.subject],
        ["Expiry Date", _when(info.expires)],
        ["Permitted DNS Domains", f"[{' '.join(info.permitted_dns_domains)}]"],
    ]
    out(columns(rows))
    return 0


@command("<certificate file>")
@click.argument("arguments", nargs=-1)
def cert_info(arguments: tuple[str, ...]) -> int:
    """Show what an agent's certificate says."""
    from raftnomad.certificates.authority import certificate_info

    if len(arguments) != 1:
        raise ConfigurationError("Error reading certificate file: <nil>")
    info = certificate_info(arguments[0])
    rows = [
        ["Serial Number", info.serial_number],
        ["Issuer CN", info.issuer_common_name],
        ["Common Name", info.subject],
        ["Expiry Date", _when(info.expires)],
        ["DNS Names", f"[{' '.join(info.dns_names)}]"],
        ["IP Addresses", f"[{' '.join(info.ip_addresses)}]"],
    ]
    out(columns(rows))
    return 0
