from __future__ import annotations

import json
from pathlib import Path

import pytest

from raftnomad.errors import DataDirectoryError
from raftnomad.members.record import Proposal, Stage
from raftnomad.members.standing import FILE_NAME, Standing, load, save
from raftnomad.raft.log import Member

MEMBER = Member(id="id-a", name="a", rpc_address="127.0.0.1:1")
STANDING = Standing(
    version=3,
    stage=Stage.PROMISED,
    proposal=Proposal(cluster_id="c", proposer="id-a", members=(MEMBER,)),
    promised_version=2,
)


def test_a_standing_is_kept(tmp_path: Path) -> None:
    directory = tmp_path / "server"
    assert load(directory, "id-a") == Standing()
    for standing in (STANDING, Standing(version=4, stage=Stage.JOINED, cluster_id="c", members=(MEMBER,))):
        save(directory, "id-a", standing)
        assert load(directory, "id-a") == standing
    assert [path.name for path in directory.iterdir()] == [FILE_NAME]


def test_an_unfinished_write_changes_nothing(tmp_path: Path) -> None:
    save(tmp_path, "id-a", STANDING)
    (tmp_path / f"{FILE_NAME}.new").write_text("{")
    assert load(tmp_path, "id-a") == STANDING


def test_another_servers_file_a_newer_and_a_damaged_one_are_refused(tmp_path: Path) -> None:
    save(tmp_path, "id-a", STANDING)
    with pytest.raises(DataDirectoryError, match="is of server id-a, this one is id-b"):
        load(tmp_path, "id-b")
    path = tmp_path / FILE_NAME
    stored = json.loads(path.read_text())
    path.write_text(json.dumps(stored | {"format": 2}))
    with pytest.raises(DataDirectoryError, match="has format 2, this version reads 1"):
        load(tmp_path, "id-a")
    for damage in ("", "{", "[]", "{}", json.dumps(stored | {"stage": "king"}), json.dumps(stored | {"proposal": {}})):
        path.write_text(damage)
        with pytest.raises(DataDirectoryError, match=f"{FILE_NAME} is damaged"):
            load(tmp_path, "id-a")
