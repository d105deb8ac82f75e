"""Memory of a file of many machines: it grows with the rows, not with the rows times the machines."""

import tracemalloc

import numpy as np
import pytest

from tests.fleets import panel
from tsad.data.io.regular import FileRows
from tsad.data.sets.csv import CsvSpec

MACHINES, ROWS = 600, 30


def test_six_hundred_machines_take_memory_for_their_rows_alone(tmp_path):
    path = tmp_path / "panel.csv"
    panel([f"m{number}" for number in range(MACHINES)], ROWS).to_csv(path, index=False)
    spec = CsvSpec(kind="csv", path=path, entity="machine", time="time")
    tracemalloc.start()
    data = spec.load(tmp_path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(data.entities) == MACHINES
    a_position_of_each_row_for_each_machine = 8 * MACHINES * MACHINES * ROWS
    assert peak < a_position_of_each_row_for_each_machine / 2


@pytest.mark.parametrize(("start", "stop"), [(0, 3), (2, 5), (5, 6)])
def test_a_stretch_of_rows_knows_which_rows_of_the_file_it_has(start, stop):
    positions = np.array([4, 0, -1, 1, 2, 2, 3, 5])
    rows = FileRows(np.arange(6.0)[:, None], np.arange(6), boundaries=(2, 4), positions=positions)
    own = rows.stretch(start, stop)
    assert own.cells.ravel().tolist() == list(range(start, stop))
    assert own.mapping.tolist() == [row - start if start <= row < stop else -1 for row in positions]
    assert own.boundaries == tuple(row - start for row in (2, 4) if start < row < stop)
    inner = own.stretch(0, 1)
    assert inner.mapping.tolist() == [0 if row == start else -1 for row in positions]
