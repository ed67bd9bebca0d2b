"""What a duty's `decide` answers."""

from __future__ import annotations

from dataclasses import dataclass

from raftnomad.fsm.commands import Command


@dataclass(frozen=True)
class Decision:
    commands: tuple[Command, ...] = ()
    again_in_s: float | None = None
    """When to decide again even if nothing changes; None when only a change matters."""
