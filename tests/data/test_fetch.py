import pytest

from tests.data.conftest import CONTENT
from tsad.data.sets import fetch as fetch_module
from tsad.data.sets.fetch import fetch
from tsad.errors import DataError


def ignore(what, done, total):
    pass


def fetched(server, folder):
    fetch(server.url, folder / "file", ignore, pause=0)
    assert (folder / "file").read_bytes() == server.content
    assert [path.name for path in folder.iterdir()] == ["file"]


def test_a_file_is_fetched_and_every_chunk_is_told(server, tmp_path):
    told = []
    fetch(server.url, tmp_path / "file", lambda *words: told.append(words))
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert told[-1] == ("download", len(CONTENT), len(CONTENT))
    assert len(told) > 5


def test_a_connection_that_is_cut_again_and_again_is_gone_on_with(server, tmp_path):
    server.cut = 700_000
    fetched(server, tmp_path)
    assert server.asked == [None, *(f"bytes={place * 700_000}-" for place in range(1, 5))]
    assert sum(server.sent) == len(CONTENT)


def test_a_later_call_goes_on_where_the_first_was_given_up(server, tmp_path, monkeypatch):
    monkeypatch.setattr(fetch_module, "TRIES", 1)
    (tmp_path / "file.part").write_bytes(CONTENT[:1_000_000])
    (tmp_path / "file.version").write_text(server.version)
    fetched(server, tmp_path)
    assert (server.asked, server.sent) == (["bytes=1000000-"], [2_000_000])


@pytest.mark.parametrize(
    "behavior",
    [{"ranges": False}, {"version": '"two"'}, {"version": ""}, {"length": False, "ranges": False}],
    ids=["no ranges", "another version", "no versions", "no length"],
)
def test_what_cannot_be_gone_on_with_is_begun_anew(server, tmp_path, behavior):
    for name, value in behavior.items():
        setattr(server, name, value)
    (tmp_path / "file.part").write_bytes(b"old" * 1000)
    (tmp_path / "file.version").write_text('"one"')
    fetched(server, tmp_path)
    assert server.sent == [len(CONTENT)]


def test_a_part_of_nobody_knows_which_version_is_begun_anew(server, tmp_path):
    (tmp_path / "file.part").write_bytes(b"old" * 1000)
    fetched(server, tmp_path)
    assert server.asked == [None]


def test_a_part_that_is_longer_than_the_file_is_begun_anew(server, tmp_path):
    (tmp_path / "file.part").write_bytes(b"x" * 4_000_000)
    (tmp_path / "file.version").write_text(server.version)
    fetched(server, tmp_path)
    assert server.asked == ["bytes=4000000-", None]


def test_a_server_that_always_breaks_off_is_given_up_and_what_came_is_kept(server, tmp_path):
    server.cut, server.ranges = 100_000, False
    with pytest.raises(
        DataError, match=r"the connection ended 2,900,000 bytes too early\); 100,000 bytes are there, and the same"
    ):
        fetch(server.url, tmp_path / "file", ignore, pause=0)
    assert len(server.asked) == 1 + fetch_module.TRIES
    assert (tmp_path / "file.part").stat().st_size == 100_000
    assert not (tmp_path / "file").exists()


@pytest.mark.parametrize(("status", "tries"), [(404, 1), (403, 1), (503, fetch_module.TRIES)])
def test_a_refusal_is_final_and_a_failure_is_tried_again(server, tmp_path, status, tries):
    server.status = status
    with pytest.raises(DataError, match=r"archive\.zip: cannot be downloaded \(.+\); 0 bytes are there"):
        fetch(server.url, tmp_path / "file", ignore, pause=0)
    assert len(server.asked) == tries


def test_nobody_there_and_another_protocol_are_said(tmp_path, server):
    with pytest.raises(DataError, match=r"cannot be downloaded \(.*[Rr]efused"):
        fetch("http://127.0.0.1:9/x", tmp_path / "file", ignore, pause=0)
    with pytest.raises(DataError, match="file:///etc/passwd: must begin with http"):
        fetch("file:///etc/passwd", tmp_path / "file", ignore)


def test_a_full_disk_is_said_at_once(server, tmp_path):
    (tmp_path / "file.part").symlink_to("/dev/full")
    with pytest.raises(
        DataError, match=r"file\.part: cannot be written \(No space left on device\); make room, or give"
    ):
        fetch(server.url, tmp_path / "file", ignore, pause=0)
    assert len(server.asked) == 1
