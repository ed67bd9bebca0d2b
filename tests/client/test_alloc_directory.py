from __future__ import annotations

import os
from pathlib import Path

import pytest

from raftnomad.client.alloc_directory import AllocDirectory, DirectoryError


def modes(path: Path) -> dict[str, str]:
    return {entry.name: oct(entry.stat().st_mode & 0o7777) for entry in sorted(path.iterdir())}


@pytest.fixture
def directory(tmp_path: Path) -> AllocDirectory:
    made = AllocDirectory(tmp_path / "a")
    made.build()
    made.build_task("web")
    return made


def test_the_layout_is_nomads_and_everybody_may_write(directory: AllocDirectory) -> None:
    assert modes(directory.root) == {"alloc": "0o777", "web": "0o777"}
    assert modes(directory.shared) == {"data": "0o777", "logs": "0o777", "tmp": "0o777"}
    assert modes(directory.root / "web") == {
        "local": "0o777",
        "private": "0o777",
        "secrets": "0o777",
        "tmp": "0o1777",
    }


def test_a_payload_lies_below_the_tasks_local(directory: AllocDirectory) -> None:
    directory.write_payload("web", "input/data.txt", b"x")
    assert (directory.root / "web/local/input/data.txt").read_bytes() == b"x"
    for outside in ("../../x", "/etc/../../../x", "."):
        with pytest.raises(DirectoryError):
            directory.write_payload("web", outside, b"x")


def test_destroying_removes_links_and_not_what_they_lead_to(directory: AllocDirectory, tmp_path: Path) -> None:
    (tmp_path / "keep").mkdir()
    (tmp_path / "keep" / "file").touch()
    (directory.shared / "data" / "link").symlink_to(tmp_path / "keep")
    directory.destroy()
    assert not directory.root.exists() and (tmp_path / "keep" / "file").exists()


def test_a_sticky_disk_moves_to_the_next_allocation(directory: AllocDirectory, tmp_path: Path) -> None:
    (directory.shared / "data" / "db").write_text("rows")
    (directory.root / "web" / "local" / "cache").write_text("c")
    after = AllocDirectory(tmp_path / "b")
    after.build()
    after.take_over(directory, ["web", "new"])
    assert (after.shared / "data" / "db").read_text() == "rows"
    assert (after.root / "web" / "local" / "cache").read_text() == "c"


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts need root")
def test_secrets_are_kept_in_memory_and_gone_with_the_allocation(tmp_path: Path) -> None:
    directory = AllocDirectory(tmp_path / "a", mount_secrets=True)
    directory.build()
    try:
        directory.build_task("web")
        directory.build_task("web")
        secrets = directory.root / "web" / "secrets"
        assert os.path.ismount(secrets) and os.path.ismount(directory.root / "web" / "private")
        assert oct(secrets.stat().st_mode & 0o777) == "0o777"
        assert [entry.name for entry in secrets.iterdir()] == [".nomad-mount"]
    finally:
        directory.destroy()
    assert not directory.root.exists()
