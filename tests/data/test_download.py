import dataclasses
import zipfile
from types import SimpleNamespace
from typing import get_args

import pytest

from tests.data.flow_files import flow, text, write
from tests.data.test_smd import lay_out, machine_files
from tsad.cli import cli
from tsad.data.sets import download as download_module
from tsad.data.sets import smd
from tsad.data.sets.download import download
from tsad.data.sets.published import PUBLICATIONS, PublishedSpec
from tsad.data.sets.smd import PARTS, SmdSpec
from tsad.data.sets.smd_published import BLOBS, blob_hash
from tsad.errors import DataError


def ignore(what, done, total):
    pass


# --- SMD ---


@pytest.fixture
def published(monkeypatch):
    """The files of machines 1-1, whose hash is not known, and 1-2, whose hash is made to be that of these files."""
    files = {
        f"{part}/machine-1-{number}.txt": content
        for number in (1, 2)
        for part, content in zip(
            ("train", "test", "test_label", "interpretation_label"),
            (*machine_files(f"1-{number}").values(), "4-7:1,2\n"),
            strict=True,
        )
    }
    hashes = tuple(blob_hash(files[f"{part}/machine-1-2.txt"].encode()) for part in PARTS)
    monkeypatch.setattr(smd, "BLOBS", {"1-2": hashes})
    return files


def bring(origin, folder, name="smd"):
    return download(name, None if origin is None else str(origin), folder / "data", ignore)


FOUND = (
    "1 machines are the published files by their hashes: 1-2; "
    "1 machines have the published layout (their hashes are not known): 1-1"
)


@pytest.mark.parametrize("layout", ["flat", "nested", "zip"])
def test_smd_is_taken_from_an_archive_or_a_folder(tmp_path, published, layout):
    place = lay_out(tmp_path, published | {"label/machine-9-9.txt": "no part of it"}, layout)
    origin = tmp_path if layout == "nested" else place
    assert bring(origin, tmp_path) == FOUND
    found = {
        path.relative_to(tmp_path / "data/ServerMachineDataset").as_posix()
        for path in (tmp_path / "data").rglob("*.txt")
    }
    assert found == set(published)
    assert SmdSpec(kind="smd", machine="all").machines(tmp_path / "data") == ("1-1", "1-2")
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["ServerMachineDataset"]


def test_every_published_data_set_is_downloaded_and_read_by_one_name():
    names = [get_args(spec.model_fields["kind"].annotation)[0] for spec in get_args(PublishedSpec)]
    assert names == list(PUBLICATIONS) == [spec.publication.name for spec in get_args(PublishedSpec)]
    for publication in PUBLICATIONS.values():
        assert publication.page.startswith("https://")
        assert publication.title[-1] != "."
        assert publication.member.groups == 1


def test_an_unknown_name_is_refused_with_those_that_exist(tmp_path):
    with pytest.raises(
        DataError, match="a published data set is one of smd, cicddos2019, but got 'mnist'; name one of"
    ):
        download("mnist", None, tmp_path, lambda *_: None)


def test_the_command_line_offers_every_published_data_set(capsys):
    with pytest.raises(SystemExit):
        cli(["download", "mnist"])
    assert "'mnist' is not one of 'smd', 'cicddos2019'" in capsys.readouterr().err


def test_smd_comes_from_where_it_is_published_or_from_a_mirror(tmp_path, published, server, monkeypatch):
    assert PUBLICATIONS["smd"].url == "https://github.com/NetManAIOps/OmniAnomaly/archive/refs/heads/master.zip"
    server.content = lay_out(tmp_path, published, "zip").read_bytes()
    assert bring(server.url, tmp_path / "mirror") == FOUND
    monkeypatch.setitem(PUBLICATIONS, "smd", dataclasses.replace(PUBLICATIONS["smd"], url=server.url))
    assert bring(None, tmp_path / "home") == FOUND
    assert [path.name for path in (tmp_path / "home/data").iterdir()] == ["ServerMachineDataset"]


def test_a_second_download_adds_what_is_missing_and_overwrites_nothing(tmp_path, published):
    one = {name: content for name, content in published.items() if "1-2" in name}
    bring(lay_out(tmp_path / "one", one), tmp_path)
    assert bring(lay_out(tmp_path / "all", published), tmp_path) == FOUND
    assert bring(lay_out(tmp_path / "all", published), tmp_path) == FOUND
    mine = tmp_path / "data/ServerMachineDataset/train/machine-1-1.txt"
    mine.write_text("mine")
    with pytest.raises(DataError, match=r"train/machine-1-1\.txt: another file is there already; remove it"):
        bring(tmp_path / "all", tmp_path)
    assert mine.read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "train/machine-1-2.txt",
            "0\n",
            r"train/machine-1-2\.txt: must be the published file \(Git blob .{40}\), but is .{40};",
        ),
        ("test/machine-1-2.txt", None, "but is not there; download it again, or take another mirror"),
        ("train/machine-1-1.txt", "0,1\n", "SMD has 38 columns, but this file has 2"),
        ("test_label/machine-1-1.txt", None, "no such file; the published set has train/"),
    ],
)
def test_a_file_that_is_not_the_published_one_leaves_nothing_behind(tmp_path, published, name, content, message):
    files = {path: text for path, text in (published | {name: content}).items() if text is not None}
    origin = lay_out(tmp_path / "from", files)
    with pytest.raises(DataError, match=message):
        bring(origin, tmp_path)
    assert not any(path.is_file() for path in (tmp_path / "data").rglob("*"))
    assert not (tmp_path / "data/ServerMachineDataset").exists()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "no such file or folder; give an archive, a folder or an address by --from"),
        (lambda path: path.write_bytes(b"<html>"), "must be a whole zip archive, but .*; download it again"),
        (lambda path: zipfile.ZipFile(path, "w").close(), r"holds no file of ServerMachineDataset \(https://github"),
        (lambda path: path.mkdir(), "holds no file of ServerMachineDataset"),
    ],
)
def test_an_origin_without_the_set_is_refused(tmp_path, make, message):
    make(tmp_path / "from.zip")
    with pytest.raises(DataError, match=message):
        bring(tmp_path / "from.zip", tmp_path)


def test_an_archive_that_is_damaged_inside_is_refused(tmp_path, published):
    path = lay_out(tmp_path, published, "zip")
    content = bytearray(path.read_bytes())
    content[200:240] = bytes(40)
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"must be a whole zip archive, but .*; download it again"):
        bring(path, tmp_path)


@pytest.mark.parametrize(
    "name",
    ["../x/train/machine-1-1.txt", "/train/machine-1-1.txt", "a\\..\\machine.txt", "C:/x.txt", "a/../../b", "link"],
)
def test_members_that_point_outside_are_refused(tmp_path, published, name):
    path = lay_out(tmp_path, published, "zip")
    with zipfile.ZipFile(path, "a") as archive:
        member = zipfile.ZipInfo(name)
        member.external_attr = 0o120777 << 16 if name == "link" else 0
        archive.writestr(member, "/etc/passwd")
    with pytest.raises(DataError, match=r"members of an archive must lie inside it, but .* do not trust this archive"):
        bring(path, tmp_path)
    assert not (tmp_path / "data/ServerMachineDataset").exists()


def test_a_folder_that_cannot_be_written_and_too_little_room_are_said(tmp_path, published, monkeypatch):
    origin = lay_out(tmp_path / "from", published)
    (tmp_path / "file").touch()
    with pytest.raises(
        DataError, match=r"cannot be written \(Not a directory\); make room, or give another folder by --to"
    ):
        download("smd", str(origin), tmp_path / "file" / "data", ignore)
    monkeypatch.setattr(download_module.shutil, "disk_usage", lambda path: SimpleNamespace(free=10))
    with pytest.raises(DataError, match=r"[\d,]+ bytes are needed, but 10 are free; make room, or give --to"):
        bring(origin, tmp_path)


def test_the_published_files_have_the_hashes_that_git_gives_them(tmp_path, smd_folder):
    assert (
        blob_hash(b"hello\n") == "ce013625030ba8dba906f756967f9e9ca394464a"
    )  # printf 'hello\n' | git hash-object --stdin
    assert len({name for names in BLOBS.values() for name in names}) == 48


@pytest.mark.slow
def test_the_archive_of_smd_is_the_published_one(tmp_path, smd_folder):
    origin = next(path for path in smd_folder.iterdir() if path.name.startswith(("OmniAnomaly", "ServerMachine")))
    assert bring(origin, tmp_path).startswith("12 machines are the published files by their hashes: 1-2, 1-3")
    ours, theirs = (SmdSpec(kind="smd", machine="3-10").load(folder) for folder in (tmp_path / "data", smd_folder))
    assert ours.digest == theirs.digest


# --- CIC-DDoS2019 ---


def test_a_set_behind_a_form_says_where_the_form_is(tmp_path):
    with pytest.raises(
        DataError, match=r"fill it in at https://www\.unb\.ca/cic/datasets/ddos-2019\.html, then name .* --from"
    ):
        bring(None, tmp_path, "cicddos2019")
    assert not (tmp_path / "data").exists()


def test_flows_keep_the_folders_of_their_days(tmp_path):
    write(tmp_path / "first", [flow(0)], "01-12/DrDoS_DNS.csv")
    write(tmp_path / "second", [flow(0)], "03-11/Syn.csv")
    write(tmp_path / "second", [flow(0)], "__MACOSX/03-11/._Syn.csv")
    for name in ("first", "second"):
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w") as archive:
            for path in (tmp_path / name).rglob("*.csv"):
                archive.write(path, f"CSVs/{path.relative_to(tmp_path / name / 'cicddos2019')}")
    assert "1 files have the published columns" in bring(tmp_path / "first.zip", tmp_path, "cicddos2019")
    assert bring(tmp_path / "second.zip", tmp_path, "cicddos2019").endswith(": 03-11/Syn.csv")
    found = sorted(path.relative_to(tmp_path / "data").as_posix() for path in (tmp_path / "data").rglob("*.csv"))
    assert found == ["cicddos2019/01-12/DrDoS_DNS.csv", "cicddos2019/03-11/Syn.csv"]


def test_a_file_without_the_columns_of_the_set_is_refused(tmp_path):
    write(tmp_path / "from", [flow(0)])
    (tmp_path / "from/cicddos2019/other.csv").write_text(text([flow(0)]).replace("Timestamp", "Time"))
    with pytest.raises(DataError, match=r"other\.csv: the first line must name .* 1 are missing, first 'Timestamp'"):
        bring(tmp_path / "from", tmp_path, "cicddos2019")
    assert not (tmp_path / "data/cicddos2019").exists()
