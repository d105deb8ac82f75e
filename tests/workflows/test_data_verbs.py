"""`tsad download`, `tsad cache`, `tsad train --each-entity` of SMD: what they take, say and leave behind."""

from pathlib import Path

import mlflow
import pytest
import yaml

import tests.stores  # noqa: F401 (imports MLflow without its warnings)
from tests.data.flow_files import flow, write
from tests.data.test_smd import lay_out, lines
from tests.processes import PYTHON, ran
from tsad.data.sets.smd import SmdSpec
from tsad.settings import Settings
from tsad.workflows.context import Context

pytestmark = pytest.mark.usefixtures("place")


def machine(name, rows=240, seed=0):
    return {
        f"train/machine-{name}.txt": lines(rows, seed=seed),
        f"test/machine-{name}.txt": lines(rows, seed=seed + 1),
        f"test_label/machine-{name}.txt": "0\n" * (rows - 40) + "1\n" * 40,
        f"interpretation_label/machine-{name}.txt": f"{rows - 40}-{rows}:1\n",
    }


def test_download_places_a_set_and_says_where(tsad, place):
    lay_out(place / "from", machine("1-1"))
    code, out, errors = tsad("download", "smd", "--from", "from", "--to", "there")
    assert (code, errors) == (0, [])
    assert out.splitlines() == [
        "1 machines have the published layout (their hashes are not known): 1-1",
        "files: there/ServerMachineDataset",
        "use these files with TSAD_DATA_DIR=there",
    ]
    assert SmdSpec(kind="smd", machine="all").machines(Path("there")) == ("1-1",)


def test_download_goes_to_the_data_folder_by_default(tsad, place):
    write(place / "from", [flow(0)])
    code, out, errors = tsad("download", "cicddos2019", "--from", "from")
    assert (code, errors) == (0, [])
    assert out.endswith("files: data/cicddos2019\n")
    assert Path("data/cicddos2019/DrDoS_DNS.csv").is_file()


def test_download_says_in_one_line_what_is_wrong(tsad):
    code, _, errors = tsad("download", "cicddos2019")
    assert code == 1
    assert [error.split(": ")[0] for error in errors] == ["DataError"]
    assert "https://www.unb.ca/cic/datasets/ddos-2019.html" in errors[0]


def test_the_cache_is_shown_and_cleared(tsad, place):
    lay_out(place / "data", machine("1-1"))
    Context(Settings()).load_data(SmdSpec(kind="smd", machine="1-1"))
    code, out, _ = tsad("cache", "show")
    assert (code, out.splitlines()[-1].split(",")[0]) == (0, "5 files")
    assert [line.rpartition(".")[2] for line in out.splitlines()[:-1]] == ["hash"] * 4 + ["data"]
    assert tsad("cache", "clear")[1].startswith("removed 5 files, 0.1 MB: outputs/cache")
    assert tsad("cache", "show")[1] == "0 files, 0.0 of 4000 MB: outputs/cache\n"


def test_the_place_decides_where_the_cache_is_and_how_large(monkeypatch, tsad, place):
    lay_out(place / "data", machine("1-1"))
    monkeypatch.setenv("TSAD_CACHE_DIR", "elsewhere")
    monkeypatch.setenv("TSAD_CACHE_SIZE", "500MB")
    Context(Settings()).load_data(SmdSpec(kind="smd", machine="1-1"))
    assert tsad("cache", "show")[1].endswith("0.1 of 500 MB: elsewhere\n")
    monkeypatch.setenv("TSAD_CACHE_SIZE", "much")
    assert "TSAD_CACHE_SIZE" in tsad("cache", "show")[2][0]


EXPERIMENT = {
    "data": {"kind": "smd", "machine": "all"},
    "split": {"gap": 8},
    "window": {"length": 8},
    "model": {"kind": "window_linear", "components": 2},
}


@pytest.mark.slow
def test_one_detector_for_each_entity_needs_entities(tsad, place):
    Path("e.yaml").write_text(yaml.safe_dump(EXPERIMENT | {"data": {"kind": "synthetic"}}))
    code, _, errors = tsad("train", "e.yaml", "--each-entity")
    assert code == 1
    assert errors == [
        "SpecError: a detector for each entity needs rows of several entities, but the data of kind synthetic have none; name "
        "their column with --set data.entity=COLUMN, give a pattern of files as data.path, or leave --each-entity out"
    ]


@pytest.mark.slow
def test_one_detector_for_each_machine_is_a_run_below_one_run(place):
    lay_out(place / "data", machine("1-1") | machine("1-2", seed=5))
    Path("e.yaml").write_text(yaml.safe_dump(EXPERIMENT))
    out = ran([PYTHON, "-m", "tsad", "train", "e.yaml", "--each-entity"], place)
    # a whole path: MLflow keeps the engine of an address, and with it the file that a relative one named first
    client = mlflow.MlflowClient(f"sqlite:///{place / 'mlflow.db'}")
    runs = client.search_runs(["1"], order_by=["attributes.start_time"])
    parent, *children = runs
    assert [run.info.status for run in runs] == ["FINISHED"] * 3
    assert [run.data.tags.get("mlflow.parentRunId") for run in children] == [parent.info.run_id] * 2
    runs = [parent, *sorted(children, key=lambda run: run.data.tags["tsad.entity"])]
    assert [run.data.params["data.machine"] for run in runs] == ["all", "1-1", "1-2"]
    values = [run.data.metrics["ranking/pr_auc"] for run in runs]
    assert values[0] == pytest.approx((values[1] + values[2]) / 2)
    table = {
        line.split()[0]: line.split()[2] for line in out.splitlines() if line[:4].strip() in {"1-1", "1-2", "mean"}
    }
    assert table["mean"] == f"{values[0]:.3f}"
