"""What a server's log is started with. The defaults are those of a cluster in one building."""

from __future__ import annotations

from dataclasses import dataclass, field

from raftnomad.raft.log import Member

MIB = 1 << 20


@dataclass(frozen=True, kw_only=True)
class RaftSettings:
    """`first_members` counts only while the data directory is empty; without this server among them it waits, and
    never campaigns, until a leader that was told of it sends its state."""

    server_id: str
    cluster_id: str
    first_members: tuple[Member, ...]
    directory: str
    """Of this log alone: `<data_dir>/server/raft`."""

    election_timeout_min_s: float = 0.5
    election_timeout_max_s: float = 1.0
    heartbeat_s: float = 0.1
    quorum_lost_s: float = 0.8
    """A leader that hears from no majority for this long steps down."""
    leader_wait_s: float = 5.0
    """How long a proposal that nobody has written yet waits for a leader before it is given up as NoLeader."""

    entry_bytes_aim: int = 256 * 1024
    entry_bytes_max: int = 4 * MIB
    entries_in_flight: int = 2
    queue_bytes_max: int = 64 * MIB
    append_bytes_max: int = 4 * MIB
    """Of one append message, but for a single entry that is larger."""
    append_window_bytes: int = 16 * MIB
    """How much may be on its way to one follower without an acknowledgement."""

    segment_bytes: int = 16 * MIB
    snapshot_entries: int = 8192
    """Raft entries between two snapshots (Nomad: raft_snapshot_threshold)."""
    snapshot_bytes: int = 64 * MIB
    trailing_entries: int = 10240
    """Kept behind a snapshot, so that a follower that was away needs none (Nomad: raft_trailing_logs)."""
    trailing_bytes: int = 64 * MIB
    snapshot_chunk_bytes: int = 256 * 1024
    snapshot_window_chunks: int = 4

    apply_slice_entries: int = 64
    apply_slice_s: float = 0.01
    format_version: int = field(default=1, init=False)
