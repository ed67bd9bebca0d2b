import json
import os
import random

import pytest

from raftnomad import errors
from raftnomad.raft.data_directory import Identity, claim, identify, note_journal
from raftnomad.raft.disk import SystemDisk
from raftnomad.raft.log import Member
from tests.raft.test_journal import a_disk

ME = (Member(id="me", name="me", rpc_address="x:1"),)
chance = random.Random(1)


def test_an_empty_directory_gets_an_id_that_stays() -> None:
    disk = a_disk().begin()
    identity = identify("/d", disk, chance.randbytes)
    assert identify("/d", disk, chance.randbytes) == identity


def test_a_wiped_directory_is_another_server() -> None:
    """It has forgotten whom it voted for: under the old id it could vote twice in a term."""
    before = identify("/d", a_disk().begin(), chance.randbytes)
    assert identify("/d", a_disk().begin(), chance.randbytes).server_id != before.server_id


def test_cluster_and_first_members_are_those_of_the_first_start() -> None:
    disk = a_disk().begin()
    _, release = claim("/d", disk, "me", "cluster", ME)
    release()
    identity, release = claim("/d", disk, "me", "cluster", ())
    assert identity.first_members == ME
    release()


@pytest.mark.parametrize(
    ("server_id", "cluster_id", "text"),
    [("other", "cluster", "belongs to server me"), ("me", "c2", "belongs to cluster")],
)
def test_another_servers_or_clusters_directory_is_refused(server_id: str, cluster_id: str, text: str) -> None:
    disk = a_disk().begin()
    claim("/d", disk, "me", "cluster", ME)[1]()
    with pytest.raises(errors.DataDirectoryError, match=text):
        claim("/d", disk, server_id, cluster_id, ME)


def test_a_second_agent_is_refused_by_name(tmp_path: os.PathLike[str]) -> None:
    directory = os.path.join(tmp_path, "server", "raft")
    disk, other = SystemDisk(), SystemDisk()
    _, release = claim(directory, disk, "me", "cluster", ME)
    with pytest.raises(errors.DataDirectoryError, match="in use by another agent"):
        claim(directory, other, "me", "cluster", ME)
    release()
    claim(directory, other, "me", "cluster", ME)[1]()
    disk.close()
    other.close()


def test_a_newer_directory_is_refused_by_name(tmp_path: os.PathLike[str]) -> None:
    disk = SystemDisk()
    identify(str(tmp_path), disk, chance.randbytes)
    path = os.path.join(tmp_path, "server.json")
    with open(path) as file:
        content = json.load(file)
    with open(path, "w") as file:
        json.dump({**content, "version": 99}, file)
    with pytest.raises(errors.DataDirectoryError, match="newer raftnomad"):
        identify(str(tmp_path), disk, chance.randbytes)
    disk.close()


def test_a_log_that_has_vanished_is_a_loss_and_no_beginning() -> None:
    disk = a_disk().begin()
    identity, release = claim("/d", disk, "me", "cluster", ME)
    note_journal("/d", disk, identity)
    release()
    with pytest.raises(errors.DataDirectoryError, match="holds no log any more"):
        claim("/d", disk, "me", "cluster", ME)


def test_an_id_that_has_vanished_beside_a_log_is_no_new_server() -> None:
    disk = a_disk().begin()
    disk.open("/d/journal/1.journal", create=True)
    with pytest.raises(errors.DataDirectoryError, match=r"server\.json is missing"):
        identify("/d", disk, chance.randbytes)


def test_a_crash_at_any_operation_of_the_first_start_leaves_a_directory_that_starts() -> None:
    from tests.raft.simulated_disk import Crash

    for crash_in in range(1, 40):
        simulated = a_disk(crash_in)
        disk = simulated.begin()
        simulated.crash_in = crash_in
        first: Identity | None = None
        try:
            first = identify("/d", disk, chance.randbytes)
            note_journal("/d", disk, claim("/d", disk, first.server_id, "c", ME)[0])
        except Crash:
            simulated.lose_power()
        disk = simulated.begin()
        again = identify("/d", disk, chance.randbytes)
        if first is not None:
            assert again.server_id == first.server_id
