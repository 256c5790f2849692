"""Files and folders that several processes write, on one host or many."""

from __future__ import annotations

import pytest

from ohana.errors import OhanaError
from ohana.utils import files
from ohana.utils.files import create_text, is_at, part_of, remove_parts, replacing


@pytest.fixture
def other_host(monkeypatch):
    """Become a process of the same number on another host."""
    return lambda: monkeypatch.setattr(files.socket, "gethostname", lambda: "far")


def test_processes_of_the_same_number_on_two_hosts_do_not_share_a_temporary_file(
    tmp_path, other_host
):
    with replacing(tmp_path / "a.txt") as here:
        here.write_text("whole")
        other_host()
        with replacing(tmp_path / "a.txt") as there:
            there.write_text("from afar")
    assert here != there
    assert (tmp_path / "a.txt").read_text() == "whole"


def test_text_is_created_once(tmp_path, other_host):
    assert create_text(tmp_path / "a.txt", "first")
    other_host()
    assert not create_text(tmp_path / "a.txt", "second")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "first"
    with pytest.raises(OhanaError, match=r"nowhere/a.txt: cannot write: No such file"):
        create_text(tmp_path / "nowhere" / "a.txt", "")


def test_open_file_is_known_to_be_gone(tmp_path):
    path = tmp_path / "a.lock"
    with path.open("w") as file:
        assert is_at(file, path)
        path.unlink()
        assert not is_at(file, path)
        path.write_text("another")
        assert not is_at(file, path)


def test_parts_of_one_name_are_removed(tmp_path, other_host):
    mine, longer = part_of(tmp_path / "a-100"), part_of(tmp_path / "a-1000")
    other_host()
    theirs = part_of(tmp_path / "a-100")
    for folder in (mine, longer, theirs):
        folder.mkdir()
    remove_parts(tmp_path, "a-100")
    assert list(tmp_path.iterdir()) == [longer]
