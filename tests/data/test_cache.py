import multiprocessing
import os
import time
from dataclasses import fields

import numpy as np
import pytest

from tests.data.flow_files import flow, write
from tests.data.test_smd import lay_out, machine_files
from tsad.data import cache as cache_module
from tsad.data.cache import Cache, _packed, _unpacked
from tsad.data.dataset import DataSet, Entity, RootCause, TypedEvent
from tsad.data.io.read_options import ReadOptions
from tsad.data.sets.cicddos2019 import CicDdos2019Spec
from tsad.data.sets.smd import SmdSpec
from tsad.data.sets.synthetic import SyntheticSpec
from tsad.errors import DataError
from tsad.series import Series

SPEC = SmdSpec(kind="smd", machine="1-2")


def full_data(rows=6):
    """Returns data in which no field is what it is by default."""
    values = np.random.default_rng(0).normal(size=(rows, 2)).astype(np.float32)
    times = np.arange(rows).astype("datetime64[us]")
    train = Series(values, ("ä", "b"), boundaries=(2, 4), times=times)
    test = Series(values[::-1], ("ä", "b"), np.arange(rows) > 3, (1,), times.astype("datetime64[ns]"))
    return DataSet(
        name="full",
        source="here",
        train=train,
        test=test,
        continuous=True,
        root_causes=(RootCause(4, 5, ("ä",)),),
        typed_events=(TypedEvent(4, 6, "flood"),),
        entities=(Entity("one", 0, 0), Entity("two", 2, 1)),
        step_seconds=0.1,
        missing="none",
        defects=("cut", "torn"),
        read_options=ReadOptions(time="when", empty=("?",), step_seconds=0.1),
    )


def same(one, other):
    assert type(one) is type(other)
    if isinstance(one, np.ndarray):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    elif isinstance(one, Series):
        for field in fields(Series):
            same(getattr(one, field.name), getattr(other, field.name))
    else:
        assert one == other
        assert (
            [type(item) for item in one or ()] == [type(item) for item in other or ()]
            if isinstance(one, tuple)
            else True
        )


@pytest.fixture
def smd(tmp_path):
    """A folder with one tiny machine."""
    lay_out(tmp_path / "data", machine_files())
    return tmp_path / "data"


@pytest.fixture
def kept(tmp_path):
    """An empty cache."""
    return Cache(tmp_path / "cache", 10**6)


def entries(cache):
    return [path for path, _ in cache.entries() if path.suffix == ".data"]


def counted(monkeypatch, spec=SmdSpec):
    """Returns a list that grows with every real load."""
    loads, load = [], spec.load
    monkeypatch.setattr(spec, "load", lambda self, folder: loads.append(folder) or load(self, folder))
    return loads


# --- what comes back is what was loaded ---


def test_every_field_of_a_data_set_comes_back():
    data = full_data()
    found = _unpacked(_packed(data)[32:])
    for field in fields(DataSet):
        default = field.default
        assert getattr(data, field.name) != default, f"{field.name} is not tested"
        same(getattr(found, field.name), getattr(data, field.name))
    assert found.digest == data.digest


def test_a_data_set_without_labels_times_and_rows_comes_back():
    nothing = Series(np.empty((0, 1), np.float32), ("a",))
    found = _unpacked(_packed(DataSet("d", "here", nothing, nothing))[32:])
    same(found.train, nothing)
    assert (found.step_seconds, found.missing, found.root_causes) == (None, None, ())


def test_a_second_load_reads_no_source(smd, kept, monkeypatch, caplog):
    loads = counted(monkeypatch)
    first = kept.load(SPEC, smd)
    warned = len(caplog.records)
    second = kept.load(SPEC, smd)
    assert (len(loads), second.digest, second.source) == (1, first.digest, first.source)
    assert second.defects == first.defects != ()
    assert len(caplog.records) == 2 * warned > 0  # defects are said again
    second.train.values[0, 0] = 7  # as writable as what was loaded


@pytest.mark.parametrize("layout", ["flat", "zip"])
def test_another_content_is_another_entry_and_an_old_one_is_found_again(tmp_path, kept, monkeypatch, layout):
    files = machine_files()
    place = lay_out(tmp_path, files, layout)
    path = place if layout == "zip" else place / "train/machine-1-2.txt"
    before, loads = path.read_bytes(), counted(monkeypatch)
    first = kept.load(SPEC, tmp_path)
    lay_out(tmp_path, files | {"train/machine-1-2.txt": files["test/machine-1-2.txt"]}, layout)
    assert kept.load(SPEC, tmp_path).digest != first.digest
    path.write_bytes(before)
    assert kept.load(SPEC, tmp_path).digest == first.digest
    assert len(loads) == 2


def test_an_entry_depends_on_the_code_of_every_folder_of_the_room():
    names = {"/".join(path.parts[-3:]) for path in cache_module._code_files()}
    assert {"data/io/cells.py", "data/sets/smd.py", "tsad/data/split.py"} <= names


def test_another_spec_or_other_code_is_another_entry(smd, kept, monkeypatch):
    kept.load(SPEC, smd)
    assert len(kept.load(SmdSpec(kind="smd", machine="1-2", every=2), smd).train) == 6
    assert len(entries(kept)) == 2
    monkeypatch.setattr(cache_module, "_code", lambda: "later")
    kept.load(SPEC, smd)
    assert len(entries(kept)) == 3


def test_flows_are_kept(tmp_path, kept, monkeypatch):
    write(tmp_path, [flow(second, "BENIGN" if second < 3 else "DrDoS_DNS") for second in range(6)])
    loads, spec = counted(monkeypatch, CicDdos2019Spec), CicDdos2019Spec(kind="cicddos2019")
    first, second = kept.load(spec, tmp_path), kept.load(spec, tmp_path)
    assert len(loads) == 1
    assert second.typed_events == first.typed_events == (TypedEvent(0, 3, "DrDoS_DNS"),)
    same(second.train, first.train)


def test_made_data_is_not_kept_and_a_size_of_0_keeps_nothing(smd, kept, tmp_path):
    kept.load(SyntheticSpec(kind="synthetic", rows=400, events=8), tmp_path)
    Cache(kept.folder, 0).load(SPEC, smd)
    assert not kept.folder.exists()


def test_a_file_that_changes_while_it_is_read_is_not_kept(smd, kept, monkeypatch):
    path, load = smd / "ServerMachineDataset/train/machine-1-2.txt", SmdSpec.load

    def changing(self, folder):
        found = load(self, folder)
        path.write_text(path.read_text().replace("0.", "1."))
        return found

    monkeypatch.setattr(SmdSpec, "load", changing)
    kept.load(SPEC, smd)
    assert entries(kept) == []


def test_an_absent_source_is_the_loaders_error(tmp_path, kept):
    with pytest.raises(DataError, match="SMD must lie in"):
        kept.load(SPEC, tmp_path)


# --- damage, room, other processes ---


@pytest.mark.parametrize(
    "damage", [lambda content: content[:-1], lambda content: content[:100] + b"x" + content[101:], lambda _: b""]
)
def test_a_damaged_entry_is_made_again_and_said(smd, kept, caplog, monkeypatch, damage):
    first = kept.load(SPEC, smd)
    (path,) = entries(kept)
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    loads = counted(monkeypatch)
    assert kept.load(SPEC, smd).digest == first.digest
    assert f"{path}: this entry of the cache is damaged; the data is read anew" in caplog.messages
    assert (len(loads), path.read_bytes()) == (1, whole)


@pytest.mark.parametrize("content", [b"", b"\xff" * 64], ids=["empty", "not ASCII"])
def test_a_damaged_note_is_made_again(smd, kept, monkeypatch, content):
    first = kept.load(SPEC, smd)
    notes = {path: path.read_bytes() for path in kept.folder.glob("*.hash")}
    for path in notes:
        path.write_bytes(content)
    loads = counted(monkeypatch)
    assert (kept.load(SPEC, smd).digest, loads) == (first.digest, [])
    assert {path: path.read_bytes() for path in notes} == notes


def test_a_note_cleared_between_two_looks_is_made_again(smd, kept, monkeypatch):
    first, read = kept.load(SPEC, smd), cache_module.Path.read_text

    def cleared(path, **options):
        if path.suffix == ".hash":
            path.unlink()
        return read(path, **options)

    monkeypatch.setattr(cache_module.Path, "read_text", cleared)
    assert kept.load(SPEC, smd).digest == first.digest


def test_the_entries_that_were_not_used_for_longest_go_first(tmp_path, monkeypatch):
    lay_out(
        tmp_path, {name: text for machine in ("1-1", "1-2", "1-3") for name, text in machine_files(machine).items()}
    )
    specs = [SmdSpec(kind="smd", machine=f"1-{number}") for number in (1, 2, 3)]
    size = len(_packed(specs[0].load(tmp_path)))
    kept = Cache(tmp_path / "cache", 2 * size + 2000)
    for spec in (*specs[:2], specs[0], specs[2]):
        kept.load(spec, tmp_path)
        time.sleep(0.02)
    loads = counted(monkeypatch)
    kept.load(specs[0], tmp_path)
    kept.load(specs[2], tmp_path)
    assert loads == []
    kept.load(specs[1], tmp_path)
    assert len(loads) == 1
    assert sum(stat.st_size for _, stat in kept.entries()) <= kept.size


def test_what_is_larger_than_the_cache_is_not_kept_and_drives_nothing_out(smd, tmp_path):
    small = Cache(tmp_path / "cache", len(_packed(SmdSpec(kind="smd", machine="1-2", every=4).load(smd))) + 1000)
    small.load(SmdSpec(kind="smd", machine="1-2", every=4), smd)
    before = entries(small)
    small.load(SPEC, smd)
    assert len(before) == 1
    assert entries(small) == before


def test_a_cache_that_cannot_be_written_is_a_warning(smd, tmp_path, caplog):
    (tmp_path / "file").touch()
    assert len(Cache(tmp_path / "file" / "cache", 10**6).load(SPEC, smd).train) == 12
    assert "cannot be written (Not a directory), so the data will be read anew next time" in caplog.text


def test_clearing_removes_what_the_cache_made_and_nothing_else(smd, kept):
    kept.load(SPEC, smd)
    (kept.folder / "mine.txt").touch()
    files, size = kept.clear()
    assert (files, size > 1000) == (4, True)  # an entry and a note of each source
    assert [path.name for path in kept.folder.iterdir()] == ["mine.txt"]
    assert Cache(kept.folder / "none", 1).clear() == (0, 0)


def test_what_a_killed_writer_left_is_swept_when_it_is_old(smd, kept):
    kept.folder.mkdir()
    old, new = (kept.folder / f"{name}.unfinished" for name in ("old", "new"))
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (1, 1))
    kept.load(SPEC, smd)
    assert (old.exists(), new.exists()) == (False, True)


def load_often(folder, cache, times):
    for _ in range(times):
        for path, _ in cache.entries():
            path.unlink(missing_ok=True)  # so that readers, writers and removers meet
        assert cache.load(SPEC, folder).digest


def hang_in_mid_write(folder, cache, started):
    def half(source, target):
        started.set()
        time.sleep(60)

    os.replace = half
    cache.load(SPEC, folder)


@pytest.mark.slow
def test_many_processes_at_once_all_get_the_data(smd, kept, caplog):
    wanted = SPEC.load(smd).digest
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=load_often, args=(smd, kept, 10)) for _ in range(4)]
    for process in processes:
        process.start()
    while any(process.is_alive() for process in processes):
        assert kept.load(SPEC, smd).digest == wanted
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    assert "damaged" not in caplog.text


@pytest.mark.slow
def test_a_kill_in_mid_write_leaves_no_entry_and_the_next_load_makes_it(smd, kept, caplog):
    context = multiprocessing.get_context("spawn")
    started = context.Event()
    process = context.Process(target=hang_in_mid_write, args=(smd, kept, started))
    process.start()
    assert started.wait(60)
    process.kill()
    process.join()
    assert [path.suffix for path in kept.folder.iterdir()] == [".unfinished"]
    wanted = SPEC.load(smd).digest
    assert kept.load(SPEC, smd).digest == kept.load(SPEC, smd).digest == wanted
    assert len(entries(kept)) == 1
    assert "damaged" not in caplog.text
