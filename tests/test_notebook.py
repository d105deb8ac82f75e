"""The guided notebook runs from top to bottom."""

import nbformat
import pytest
from nbclient import NotebookClient

from tests.processes import PYTHON, REPOSITORY, environment
from tests.stores import clear_environment

PATH = REPOSITORY / "notebooks" / "your_data.ipynb"


@pytest.fixture(scope="module")
def notebook():
    return nbformat.read(PATH, as_version=4)


def test_it_is_kept_without_what_it_once_showed(notebook):
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code
    assert not [cell.id for cell in code if cell.outputs or cell.execution_count]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")
def test_it_runs_and_draws_three_pictures(notebook, tmp_path, monkeypatch):
    clear_environment(monkeypatch)
    for name, value in environment(TSAD_WALK=tmp_path / "walk", PATH=f"{PYTHON.parent}:/usr/bin:/bin").items():
        monkeypatch.setenv(name, value)
    client = NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    said = "".join(output.text for output in outputs if output.output_type == "stream")
    tables = "".join(output.data.get("text/html", "") for output in outputs if "data" in output)
    assert "resumed from there after epoch" in said
    assert "champion:  models:/tsad@champion  (version 1)" in said
    assert "the best of 8 trials, models:/tsad@champion" in tables
    assert len([output for output in outputs if "image/png" in output.get("data", {})]) == 3


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")
def test_five_lines_lead_from_a_frame_to_a_champion(tmp_path, monkeypatch):
    clear_environment(monkeypatch)
    for name, value in environment(PATH=f"{PYTHON.parent}:/usr/bin:/bin").items():
        monkeypatch.setenv(name, value)
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [
        nbformat.v4.new_code_cell("import numpy, pandas, tsad"),
        nbformat.v4.new_code_cell("frame = pandas.DataFrame(numpy.random.default_rng(0).normal(size=(1200, 3)))"),
        nbformat.v4.new_code_cell("result = tsad.search(data=frame, trials=2)"),
        nbformat.v4.new_code_cell("result"),
        nbformat.v4.new_code_cell("result.champion.load().score(frame).tail(3)"),
    ]
    NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    searched, scored = (cell.outputs[-1].data["text/html"] for cell in notebook.cells[-2:])
    assert "the best of 2 trials" in searched
    assert scored.count("<tr") == 4
    assert "flag" in scored
