import zipfile
from pathlib import Path

import numpy as np
import pytest

from tsad.data.dataset import Entity, RootCause
from tsad.data.sets.smd import FEATURES, SmdSpec
from tsad.data.split import SplitSpec, split
from tsad.errors import DataError
from tsad.series import runs
from tsad.spec import parse

FOLDER, ARCHIVE = "ServerMachineDataset", "OmniAnomaly-master"
TRAIN, TEST = 12, 10


def lines(rows, columns=38, seed=0):
    values = np.random.default_rng(seed).random((rows, columns))
    return "".join(",".join(f"{value:.6f}" for value in row) + "\n" for row in values)


def machine_files(machine="1-2"):
    """Returns the text of each file of one machine by its name below `ServerMachineDataset/`."""
    return {
        f"train/machine-{machine}.txt": lines(TRAIN, seed=1),
        f"test/machine-{machine}.txt": lines(TEST, seed=2),
        f"test_label/machine-{machine}.txt": "0\n" * 4 + "1\n" * 3 + "0\n" * 3,
    }


def lay_out(folder, files, layout="flat"):
    """Writes the files as they lie in one of the three layouts, and returns the place that messages name."""
    if layout == "zip":
        with zipfile.ZipFile(folder / f"{ARCHIVE}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for name, text in files.items():
                archive.writestr(f"{ARCHIVE}/{FOLDER}/{name}", text)
        return folder / f"{ARCHIVE}.zip"
    place = folder / FOLDER if layout == "flat" else folder / ARCHIVE / FOLDER
    for name, text in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text)
    return place


def load(folder, machine="1-2"):
    return SmdSpec(kind="smd", machine=machine).load(folder)


layouts = pytest.mark.parametrize("layout", ["flat", "nested", "zip"])


@layouts
def test_a_machine_is_read_from_every_layout(tmp_path, layout):
    files = machine_files()
    place = lay_out(tmp_path, files, layout)
    data = load(tmp_path)
    assert (data.name, data.source) == ("smd-1-2", str(place))
    assert data.train.features == data.test.features == FEATURES
    assert data.train.labels is None
    assert np.flatnonzero(data.test.labels).tolist() == [4, 5, 6]
    for part, series in (("train", data.train), ("test", data.test)):
        published = np.loadtxt(files[f"{part}/machine-1-2.txt"].splitlines(), delimiter=",")
        np.testing.assert_array_equal(series.values, published.astype(np.float32))


def test_an_unpacked_folder_goes_before_the_archive(tmp_path):
    lay_out(tmp_path, machine_files("9-9"), "zip")
    place = lay_out(tmp_path, machine_files("1-2"), "flat")
    assert load(tmp_path).source == str(place)


def test_a_folder_without_smd_is_told_what_it_should_hold(tmp_path):
    with pytest.raises(
        DataError, match=r"SMD must lie in .*OmniAnomaly-master\.zip.*none of them .* set TSAD_DATA_DIR"
    ):
        load(tmp_path)


@layouts
def test_an_absent_machine_is_answered_with_those_that_are_there(tmp_path, layout):
    lay_out(tmp_path, machine_files("1-10") | machine_files("1-2"), layout)
    with pytest.raises(DataError, match=r"has no train/machine-3-1\.txt; machines found there: 1-2, 1-10$"):
        load(tmp_path, "3-1")


def test_an_empty_folder_has_no_machines(tmp_path):
    (tmp_path / FOLDER).mkdir()
    with pytest.raises(DataError, match="machines found there: none"):
        load(tmp_path)


def test_a_foreign_file_among_the_machines_does_no_harm(tmp_path):
    lay_out(tmp_path, machine_files() | {"train/machine-1-2-copy.txt": ""})
    with pytest.raises(DataError, match=r"machines found there: .*1-2"):
        load(tmp_path, "3-1")


@pytest.mark.parametrize("absent", ["test", "test_label"])
@layouts
def test_an_absent_file_is_named(tmp_path, layout, absent):
    files = machine_files()
    del files[f"{absent}/machine-1-2.txt"]
    lay_out(tmp_path, files, layout)
    with pytest.raises(DataError, match=rf"{absent}/machine-1-2\.txt: no such file; the published set has"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("train", lines(TRAIN, columns=37), "SMD has 38 columns, but this file has 37"),
        ("test", lines(TEST).replace("0.", "x.", 1), "must be a finite number, but row 0, column 1 holds 'x"),
        ("test", lines(TEST) + "0.5\n", f"must be a finite number, but row {TEST}, column 2 holds nan"),
        ("test", lines(TEST) + "0.5," * 40 + "\n", "cannot be read as comma separated numbers"),
        ("train", "", "cannot be read as comma separated numbers"),
        ("test_label", "0\n" * (TEST - 1), f"must hold one label for each of the {TEST} test rows"),
        ("test_label", "0\n" * (TEST - 1) + "2\n", f"every label must be 0 or 1, but row {TEST - 1} holds 2"),
        ("test_label", "0,1\n" * TEST, f"must hold one label for each of the {TEST} test rows"),
    ],
)
def test_a_file_that_is_not_what_was_published_is_refused(tmp_path, name, text, message):
    lay_out(tmp_path, machine_files() | {f"{name}/machine-1-2.txt": text})
    with pytest.raises(DataError, match=rf"{FOLDER}/{name}/machine-1-2\.txt: .*{message}"):
        load(tmp_path)


def test_an_archive_that_is_none_is_refused(tmp_path):
    (tmp_path / f"{ARCHIVE}.zip").write_bytes(b"<html>Not Found</html>")
    with pytest.raises(DataError, match=r"must be a zip archive, but .*; download it again"):
        load(tmp_path)


def test_an_archive_with_damaged_content_is_refused(tmp_path):
    path = lay_out(tmp_path, machine_files(), "zip")
    content = bytearray(path.read_bytes())
    content[200:240] = bytes(40)  # inside the compressed training rows
    path.write_bytes(content)
    with pytest.raises(DataError, match="download it again"):
        load(tmp_path)


@pytest.mark.parametrize(
    "machine", ["1", "machine-1-2", "../1-2", "1-2/../../x", [], ["1-2", "all"], ["1-2", "1-2"], ""]
)
def test_a_machine_is_named_by_two_numbers(machine):
    with pytest.raises(
        Exception, match=r'machine: must be a machine by group and number \("1-2"\), a list of different'
    ):
        parse(SmdSpec, {"kind": "smd", "machine": machine}, "data")


# --- several machines ---


@pytest.fixture
def several(tmp_path):
    """A folder with the machines 1-2, 1-10 and 2-1, whose rows differ."""
    for seed, machine in enumerate(("1-2", "1-10", "2-1"), start=10):
        files = machine_files(machine) | {
            f"train/machine-{machine}.txt": lines(TRAIN + seed, seed=seed),
            f"interpretation_label/machine-{machine}.txt": "4-7:2\n",
        }
        lay_out(tmp_path, files)
    return tmp_path


def test_several_machines_lie_end_to_end_with_breaks_and_causes_in_place(several):
    data = parse(SmdSpec, {"kind": "smd", "machine": ["2-1", "1-2"]}, "data").load(several)
    one, other = load(several, "2-1"), load(several, "1-2")
    assert (data.name, data.continuous, data.train.boundaries, data.test.boundaries) == (
        "smd-2-1+1-2",
        False,
        (24,),
        (10,),
    )
    assert data.entities == (Entity("2-1", 0, 0), Entity("1-2", 24, 10))
    assert data.root_causes == (RootCause(4, 7, ("f02",)), RootCause(14, 17, ("f02",)))
    for part in ("train", "test"):
        chunks = [getattr(each, part) for each in (one, other)]
        np.testing.assert_array_equal(getattr(data, part).values, np.concatenate([chunk.values for chunk in chunks]))
    np.testing.assert_array_equal(data.test.labels, np.concatenate([one.test.labels, other.test.labels]))


@pytest.mark.parametrize("layout", ["flat", "zip"])
def test_all_are_those_that_are_there_in_the_order_of_their_numbers(tmp_path, layout):
    lay_out(tmp_path, machine_files("2-1") | machine_files("1-10") | machine_files("1-2"), layout)
    spec = SmdSpec(kind="smd", machine="all", every=3)
    assert spec.machines(tmp_path) == ("1-2", "1-10", "2-1")
    data = spec.load(tmp_path)
    assert (data.name, len(data.train), data.train.boundaries) == ("smd-1-2+1-10+2-1-every-3", 12, (4, 8))


def test_one_of_several_is_that_one_itself(several):
    assert (
        parse(SmdSpec, {"kind": "smd", "machine": ["1-10"]}, "data").load(several).digest
        == load(several, "1-10").digest
    )


def test_without_a_machine_all_are_none(tmp_path):
    (tmp_path / FOLDER / "train").mkdir(parents=True)
    with pytest.raises(DataError, match="must hold machines of SMD, but holds none"):
        load(tmp_path, "all")


def test_each_machine_can_be_scaled_by_its_own_training_rows(several):
    data = SmdSpec(kind="smd", machine=("1-2", "2-1"), scale_each=True).load(several)
    edge = data.entities[1].train
    for first, after in ((0, edge), (edge, len(data.train))):
        np.testing.assert_allclose(data.train.values[first:after].mean(axis=0), 0, atol=1e-5)
        np.testing.assert_allclose(data.train.values[first:after].std(axis=0), 1, atol=1e-5)
    raw = load(several, "2-1")
    center, scale = raw.train.values.mean(axis=0, dtype=np.float64), raw.train.values.std(axis=0, dtype=np.float64)
    np.testing.assert_allclose(data.test.values[10:], (raw.test.values - center) / scale, atol=1e-5)
    assert [defect for defect in data.defects if "scaled" in defect] == [
        f"smd-{name}: rows are scaled by mean and deviation of its own training rows, those of validation among them"
        for name in ("1-2", "2-1")
    ]


def test_every_machine_has_rows_to_fit_and_to_validate(several):
    data = SmdSpec(kind="smd", machine=("1-2", "2-1")).load(several)  # 22 and 24 training rows
    parts = split(data, SplitSpec(validation=0.5, gap=2), reach=2)
    train = data.train.values
    np.testing.assert_array_equal(parts.fit.values, np.concatenate([train[:11], train[22:34]]))
    np.testing.assert_array_equal(parts.validation.values, np.concatenate([train[13:22], train[36:46]]))
    assert (parts.fit.boundaries, parts.validation.boundaries, parts.past) == ((11,), (9,), None)
    assert parts.reported == slice(0, 20)


def test_rows_that_choose_are_those_of_one_machine(several):
    data = SmdSpec(kind="smd", machine="all").load(several)
    with pytest.raises(
        DataError, match=r"got split\.selection=0\.5 and 3 segments; set split\.selection=0, or take one"
    ):
        split(data, SplitSpec(selection=0.5, gap=2), reach=2)


def test_a_machine_too_short_to_validate_is_noticed(several):
    with pytest.raises(DataError, match="the validation part must hold the 5 rows of one score, but has 1 "):
        split(SmdSpec(kind="smd", machine="all").load(several), SplitSpec(validation=0.25, gap=5), reach=5)


# --- as published ---


def test_the_published_machine_1_2_has_its_published_shape(smd_folder):
    data = load(smd_folder)
    assert data.train.values.shape == (23694, 38)
    assert data.test.values.shape == (23694, 38)
    assert int(data.test.labels.sum()) == 542
    assert len(runs(data.test.labels)) == 10
    both = np.concatenate([data.train.values, data.test.values])
    assert both.min() == 0
    assert both.max() == 1


@pytest.mark.slow
def test_every_published_machine_is_read(smd_folder):
    for machine in ("1-2", "1-3", "1-6", "1-7", "2-1", "2-3", "2-5", "2-8", "3-2", "3-4", "3-7", "3-10"):
        data = load(Path(smd_folder), machine)
        assert abs(len(data.train) - len(data.test)) <= 1
        assert data.test.labels.any()
        assert data.root_causes


# --- interpretation labels ---

LABELS = "0\n" * 2 + "1\n" * 3 + "0\n" + "1\n" * 2 + "0\n" * 2  # rows 2-4 and 6-7


def interpreted(folder, text, caplog):
    """Returns the data of a machine whose anomalies are rows 2-4 and 6-7, and what was warned about."""
    files = {"test_label/machine-1-2.txt": LABELS, "interpretation_label/machine-1-2.txt": text}
    lay_out(folder, machine_files() | files)
    data = load(folder)
    warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warned == [f"{data.source}/{defect}" for defect in data.defects]
    return data, [defect.removeprefix("interpretation_label/machine-1-2.txt: ") for defect in data.defects]


def test_a_cause_has_the_rows_of_its_segment_and_the_features_of_its_columns(tmp_path, caplog):
    data, warned = interpreted(tmp_path, "6-8:1,38\n2-5:7\n", caplog)
    assert data.root_causes == (RootCause(6, 8, ("f01", "f38")), RootCause(2, 5, ("f07",)))
    assert data.step_seconds == 60
    assert not warned


@pytest.mark.parametrize(
    ("line", "rows", "message"),
    [
        ("2-4:7", [(2, 4)], "its rows 2-4 (end exclusive) are not the labeled 2-5; 2-4 kept"),  # an inclusive end
        ("1-9:7", [(2, 5), (6, 8)], "its rows 1-9 (end exclusive) are not the labeled 2-5, 6-8; 2-5, 6-8 kept"),
        ("4-7:7", [(4, 5), (6, 7)], "its rows 4-7 (end exclusive) are not the labeled 2-5, 6-8; 4-5, 6-7 kept"),
        ("6-99999:7", [(6, 8)], "its rows 6-99999 (end exclusive) are not the labeled 6-8; 6-8 kept"),
        ("5-6:7", [], "none of its rows 5-6 (end exclusive) is labeled; left out"),
        ("5-2:7", [], "none of its rows 5-2 (end exclusive) is labeled; left out"),
        ("10-20:7", [], "none of its rows 10-20 (end exclusive) is labeled; left out"),
        ("2-5:0,7", [], "columns must be 1 to 38, but are [0]; left out"),
        ("2-5:7,39,40", [], "columns must be 1 to 38, but are [39, 40]; left out"),
        ("2-5:", [], "'2-5:' is not rows and columns (first-end:column,column); left out"),
        ("2-5", [], "'2-5' is not rows and columns (first-end:column,column); left out"),
        ("", [], "'' is not rows and columns (first-end:column,column); left out"),
        ("2--5:7", [], "'2--5:7' is not rows and columns (first-end:column,column); left out"),
        ("2-5:7;8", [], "'2-5:7;8' is not rows and columns (first-end:column,column); left out"),
    ],
)
def test_an_irregular_line_is_warned_about_and_keeps_its_labeled_rows(tmp_path, caplog, line, rows, message):
    data, warned = interpreted(tmp_path, f"2-5:1\n{line}\n6-8:2\n", caplog)
    assert data.root_causes == (
        RootCause(2, 5, ("f01",)),
        *(RootCause(*each, ("f07",)) for each in rows),
        RootCause(6, 8, ("f02",)),
    )
    assert warned == [f"line 2: {message}"]


def test_segments_without_a_line_are_warned_about(tmp_path, caplog):
    data, warned = interpreted(tmp_path, "6-8:1\n", caplog)
    assert data.root_causes == (RootCause(6, 8, ("f01",)),)
    assert warned == ["no line for the labeled rows 2-5; they have no cause"]


def test_a_file_that_is_no_text_gives_no_causes(tmp_path, caplog):
    files = machine_files() | {"interpretation_label/machine-1-2.txt": ""}
    place = lay_out(tmp_path, files)
    (place / "interpretation_label/machine-1-2.txt").write_bytes(b"\x80\xff\x00")
    assert load(tmp_path).root_causes == ()
    assert "line 1: " in caplog.text
    assert "no line for the labeled rows 4-7" in caplog.text


@layouts
def test_without_interpretation_labels_there_are_no_causes(tmp_path, layout, caplog):
    lay_out(tmp_path, machine_files(), layout)
    assert load(tmp_path).root_causes == ()
    assert "interpretation_label/machine-1-2.txt: no such file; the anomalies have no causes" in caplog.text


@pytest.mark.parametrize(
    ("machine", "causes", "warned"),
    [
        ("1-2", 10, []),
        (
            "1-3",
            11,
            [
                "line 11: its rows 22923-23019 (end exclusive) are not the labeled 22923-23020; 22923-23019 kept",
                "no line for the labeled rows 18460-18471; they have no cause",
            ],
        ),
        ("2-3", 10, ["line 4: its rows 7910-8010 (end exclusive) are not the labeled 7910-8001; 7910-8001 kept"]),
        ("3-2", 9, ["no line for the labeled rows 12139-12143; they have no cause"]),
    ],
)
def test_the_published_irregular_lines_are_warned_about(smd_folder, caplog, machine, causes, warned):
    data = load(smd_folder, machine)
    assert [text.partition(".txt: ")[2] for text in data.defects] == warned
    assert len(caplog.records) == len(warned)
    assert len(data.root_causes) == causes
    assert all(data.test.labels[start:stop].all() for start, stop, _ in data.root_causes)


def test_the_first_published_cause_of_machine_1_2(smd_folder):
    assert load(smd_folder).root_causes[0] == RootCause(4629, 4688, ("f09", "f10", "f11", "f13", "f15", "f18"))
