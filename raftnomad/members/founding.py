"""How the first servers agree on being one cluster, so that two halves never become two.

Two-phase commit, spoken by records alone. The server with the lowest id proposes a cluster of exactly
`bootstrap_expect` servers. Each of them promises itself, durably and to one proposal at a time. When the proposer has
seen every promise it decides, durably; only then does anyone start raft. A promise ends only when the proposer's own
later word no longer holds to the proposal, and a proposal that was given up is never taken up again. So of two
proposals that share a server at most one is ever founded.

The price is two-phase commit's: while a proposer is away, those promised to it wait.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from raftnomad.members.record import Identity, Proposal, Record, Stage, member_of
from raftnomad.members.standing import FILE_NAME, Standing


@dataclass(frozen=True, kw_only=True)
class Seen:
    """Another server's newest record, and whether that server answers at present."""

    record: Record
    alive: bool


@dataclass(frozen=True, kw_only=True)
class Decision:
    """The standing to take (the very same object when nothing changes), and what it waits for, for people."""

    standing: Standing
    waiting_for: str = ""


def decide(own: Identity, standing: Standing, others: Sequence[Seen], fresh_id: str) -> Decision:
    """The next step of `own`, to be asked for again until nothing changes. `fresh_id` is for a cluster to propose."""
    match standing.stage:
        case Stage.EMPTY:
            return _when_empty(own, standing, others, fresh_id)
        case Stage.PROPOSING:
            return _when_proposing(own, standing, others)
        case Stage.PROMISED:
            return _when_promised(standing, others)
        case Stage.FOUNDED | Stage.JOINED:
            return Decision(standing=standing)


def _when_empty(own: Identity, standing: Standing, others: Sequence[Seen], fresh_id: str) -> Decision:
    alive = [seen.record for seen in others if seen.alive]
    if any(record.cluster_id for record in alive):
        return _join(standing, alive)
    if own.expect == 0:
        return Decision(standing=standing, waiting_for="a cluster to join: bootstrap_expect is not set here")
    offers = [record for record in alive if record.stage == Stage.PROPOSING and _names(record.proposal, own.id)]
    if offers:
        offer = min(offers, key=lambda record: record.id)
        assert offer.proposal is not None
        if len(offer.proposal.members) != own.expect:
            return Decision(standing=standing, waiting_for=_disagreement(own, [offer]))
        promise = replace(standing, stage=Stage.PROMISED, proposal=offer.proposal, promised_version=offer.version)
        return Decision(standing=promise)
    return _propose(own, standing, alive, fresh_id)


def _join(standing: Standing, alive: list[Record]) -> Decision:
    clusters = sorted({record.cluster_id for record in alive if record.cluster_id})
    if len(clusters) > 1:
        samples = [next(record for record in alive if record.cluster_id == cluster) for cluster in clusters]
        named = ", ".join(f"{record.cluster_id} ({record})" for record in samples)
        return Decision(standing=standing, waiting_for=f"an operator: there are several clusters to join: {named}")
    informed = [record for record in alive if record.cluster_id and record.cluster_members]
    if not informed:
        return Decision(standing=standing, waiting_for="the cluster to tell its members")
    newest = max(informed, key=lambda record: (record.cluster_index, record.id))
    joined = replace(
        standing,
        stage=Stage.JOINED,
        proposal=None,
        promised_version=0,
        cluster_id=newest.cluster_id,
        members=newest.cluster_members,
    )
    return Decision(standing=joined)


def _propose(own: Identity, standing: Standing, alive: list[Record], fresh_id: str) -> Decision:
    strangers = [record for record in alive if record.identity.expect not in (0, own.expect)]
    if strangers:
        return Decision(standing=standing, waiting_for=_disagreement(own, strangers))
    free = [record.identity for record in alive if record.stage == Stage.EMPTY and record.identity.expect]
    candidates = sorted([own, *free], key=lambda identity: identity.id)
    if len(candidates) < own.expect:
        names = ", ".join(identity.name for identity in candidates)
        return Decision(
            standing=standing,
            waiting_for=f"{own.expect} servers without a cluster; there are {len(candidates)}: {names}",
        )
    if candidates[0].id != own.id:
        return Decision(standing=standing, waiting_for=f"'{candidates[0].name}' to propose a cluster")
    members = tuple(member_of(identity) for identity in candidates[: own.expect])
    proposal = Proposal(cluster_id=fresh_id, proposer=own.id, members=members)
    return Decision(standing=replace(standing, stage=Stage.PROPOSING, proposal=proposal))


def _when_proposing(own: Identity, standing: Standing, others: Sequence[Seen]) -> Decision:
    proposal = standing.proposal
    assert proposal is not None
    if any(seen.alive and seen.record.cluster_id for seen in others):
        return _given_up(standing)
    promised = {seen.record.id for seen in others if _holds_to(seen.record, proposal, Stage.PROMISED)}
    missing = [member for member in proposal.members if member.id != own.id and member.id not in promised]
    if not missing:
        return _founded(standing)
    alive = {seen.record.id: seen.record for seen in others if seen.alive}
    if any(member.id not in alive for member in missing):
        return _given_up(standing)
    # Two began at once: the higher one yields, or both would wait for what the other holds.
    lower = [record for record in alive.values() if record.stage == Stage.PROPOSING and record.id < own.id]
    if any(_names(record.proposal, member.id) for record in lower for member in proposal.members):
        return _given_up(standing)
    names = ", ".join(member.name for member in missing)
    return Decision(standing=standing, waiting_for=f"the promise of {names}")


def _when_promised(standing: Standing, others: Sequence[Seen]) -> Decision:
    proposal = standing.proposal
    assert proposal is not None
    if any(seen.record.cluster_id == proposal.cluster_id for seen in others):
        return _founded(standing)
    proposer = next((seen for seen in others if seen.record.id == proposal.proposer), None)
    spoke_again = proposer is not None and proposer.record.version > standing.promised_version
    if spoke_again and proposer is not None and not _holds_to(proposer.record, proposal, Stage.PROPOSING):
        return _given_up(standing)
    if proposer is not None and proposer.alive:
        return Decision(standing=standing, waiting_for=f"'{proposer.record.name}' to decide")
    name = next((member.name for member in proposal.members if member.id == proposal.proposer), proposal.proposer)
    return Decision(
        standing=standing,
        waiting_for=(
            f"'{name}', which proposed the cluster and is away (only if its data directory is lost for good: stop "
            f"every server and remove server/{FILE_NAME} from their data directories)"
        ),
    )


def _founded(standing: Standing) -> Decision:
    assert standing.proposal is not None
    return Decision(
        standing=replace(
            standing,
            stage=Stage.FOUNDED,
            cluster_id=standing.proposal.cluster_id,
            members=standing.proposal.members,
        )
    )


def _given_up(standing: Standing) -> Decision:
    return Decision(standing=replace(standing, stage=Stage.EMPTY, proposal=None, promised_version=0))


def _holds_to(record: Record, proposal: Proposal, stage: Stage) -> bool:
    return record.stage == stage and record.proposal is not None and record.proposal.cluster_id == proposal.cluster_id


def _names(proposal: Proposal | None, server_id: str) -> bool:
    return proposal is not None and any(member.id == server_id for member in proposal.members)


def _disagreement(own: Identity, records: list[Record]) -> str:
    others = ", ".join(f"'{record.name}' has {record.identity.expect}" for record in records)
    return f"all servers to have the same bootstrap_expect: '{own.name}' has {own.expect}, {others}"
