"""Image names as job files write them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from raftnomad.drivers.driver import DriverError

_REPOSITORY = re.compile(
    r"(?:(?P<registry>[A-Za-z0-9.-]+(?::[0-9]+)?|\[[0-9a-fA-F:]+\](?::[0-9]+)?)/)?"
    r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*"
)
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True, kw_only=True)
class Image:
    name: str
    """As the job says it, without a scheme."""
    repository: str
    reference: str
    """The tag or the digest."""

    @property
    def full_name(self) -> str:
        return f"{self.repository}{'@' if ':' in self.reference else ':'}{self.reference}"

    @property
    def is_latest(self) -> bool:
        return self.reference == "latest"


def parse_image(text: str) -> Image:
    """Raises DriverError for what cannot name an image."""
    if not text:
        raise DriverError("image name required for docker driver")
    name = text.removeprefix("https://").removeprefix("http://")
    if "@" in name:
        repository, _, reference = name.partition("@")
        repository = re.sub(r":[^/:]+$", "", repository)
        good = re.fullmatch(r"[a-z0-9]+:[0-9a-f]{32,}", reference)
    else:
        repository, separator, reference = name.rpartition(":")
        if not separator or "/" in reference:
            repository, reference = name, "latest"
        good = _TAG.fullmatch(reference)
    if not good or not _REPOSITORY.fullmatch(repository):
        raise DriverError(f'unable to create local docker image "{text}": does not match registry specification')
    return Image(name=name, repository=repository, reference=reference)
