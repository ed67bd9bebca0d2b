from raftnomad.drivers.log_files import LogFiles


def contents(directory) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(directory.iterdir())}


def test_a_file_exists_before_anything_is_written(tmp_path):
    LogFiles(str(tmp_path), "t.stdout", 2, 10).close()
    assert contents(tmp_path) == {"t.stdout.0": ""}


def test_files_end_with_whole_lines_and_only_the_newest_are_kept(tmp_path):
    files = LogFiles(str(tmp_path), "t.stdout", 2, 10)
    files.write(b"one\ntwo\nthree\nfour\nfive\n")
    assert contents(tmp_path) == {"t.stdout.1": "three\n", "t.stdout.2": "four\nfive\n"}


def test_a_line_longer_than_a_file_is_cut(tmp_path):
    files = LogFiles(str(tmp_path), "t.stdout", 5, 4)
    files.write(b"abcdefghij")
    assert contents(tmp_path) == {"t.stdout.0": "abcd", "t.stdout.1": "efgh", "t.stdout.2": "ij"}


def test_a_restarted_task_goes_on_in_its_newest_file(tmp_path):
    for name in ("t.stdout.3", "t.stdout.11", "t.stdout.x", "tt.stdout.20"):
        (tmp_path / name).write_text("old\n")
    files = LogFiles(str(tmp_path), "t.stdout", 2, 10)
    files.write(b"new\nmore\n")
    assert (tmp_path / "t.stdout.11").read_text() == "old\nnew\n"
    assert (tmp_path / "t.stdout.12").read_text() == "more\n"
    assert not (tmp_path / "t.stdout.3").exists()
    assert (tmp_path / "tt.stdout.20").exists()


def test_a_link_that_a_task_left_in_place_of_its_log_is_not_followed(tmp_path):
    (tmp_path / "target").write_text("")
    (tmp_path / "t.stdout.0").symlink_to(tmp_path / "target")
    files = LogFiles(str(tmp_path), "t.stdout", 2, 10)
    files.write(b"x")
    assert (tmp_path / "target").read_text() == ""
    assert files.lost_bytes == 1


def test_a_directory_that_is_gone_costs_output_only(tmp_path):
    directory = tmp_path / "logs"
    directory.mkdir()
    files = LogFiles(str(directory), "t.stdout", 2, 4)
    (directory / "t.stdout.0").unlink()
    directory.rmdir()
    files.write(b"one\ntwo\nthree\n")
    assert files.lost_bytes > 0
