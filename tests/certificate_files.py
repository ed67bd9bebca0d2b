"""Makers of certificates for tests: every kind that a port has to accept or to refuse."""

from __future__ import annotations

from pathlib import Path

from raftnomad.certificates.authority import create_ca, create_certificate
from raftnomad.certificates.settings import TlsSettings
from raftnomad.clock import SystemClock

DAY_NS = 86_400 * 1_000_000_000


class LongAgo(SystemClock):
    def now_ns(self) -> int:
        return super().now_ns() - 100 * DAY_NS


class Certificates:
    """One CA, another CA, and certificates by role, region and kind, each made when it is first asked for."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        for name in ("ours", "theirs", "expired"):
            (directory / name).mkdir()
        create_ca(directory / "ours", clock=LongAgo())
        create_ca(directory / "theirs")
        for kind in (".pem", "-key.pem"):
            ca = directory / "ours" / f"nomad-agent-ca{kind}"
            (directory / "expired" / f"nomad-agent-ca{kind}").write_bytes(ca.read_bytes())

    def settings(self, role: str = "server", region: str = "global", kind: str = "ours") -> TlsSettings:
        directory = self.directory / kind
        stem = f"{region}-{role}-nomad"
        if not (directory / f"{stem}.pem").exists():
            if kind == "expired":
                create_certificate(directory, role, region=region, days=30, clock=LongAgo())
            else:
                create_certificate(directory, role, region=region)
        return TlsSettings(
            ca_file=str(self.directory / "ours" / "nomad-agent-ca.pem"),
            cert_file=str(directory / f"{stem}.pem"),
            key_file=str(directory / f"{stem}-key.pem"),
            rpc=True,
        )
