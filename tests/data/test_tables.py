import numpy as np
import pandas as pd
import pytest

from tests.data.test_csv import table, write
from tsad.data.io.tables import read_table
from tsad.errors import DataError


def test_a_table_keeps_the_types_of_its_cells(tmp_path):
    (tmp_path / "a.csv").write_text("whole,number,truth,word,empty\n1,1.5,true,a,\n2,,False,b,NA\n")
    found = read_table(tmp_path / "a.csv")
    assert found.to_dict("list") | {"number": [], "empty": []} == {
        "whole": [1, 2],
        "number": [],
        "truth": [True, False],
        "word": ["a", "b"],
        "empty": [],
    }
    assert found["whole"].dtype == np.int64
    assert found["number"].isna().tolist() == [False, True]
    assert found["empty"].isna().all()


def test_numbers_are_read_to_the_last_bit(tmp_path):
    numbers = np.random.default_rng(0).standard_normal(500) * 10.0 ** np.arange(-250, 250)
    large = 2**62 + np.arange(500)
    path = write(pd.DataFrame({"number": numbers, "large": large}), tmp_path / "a.csv")
    found = read_table(path)
    np.testing.assert_array_equal(found["number"], numbers)
    np.testing.assert_array_equal(found["large"], large)


def test_a_table_with_a_problem_is_refused_whole(tmp_path):
    (tmp_path / "a.csv").write_text("a,b\n1,2\n3\n")
    with pytest.raises(DataError, match=r"a\.csv: is not a csv table \(1 rows have .*, first row 1 with 1 \('3'\)"):
        read_table(tmp_path / "a.csv")


def test_the_index_of_a_parquet_file_is_a_column(tmp_path):
    table().set_index("at").to_parquet(tmp_path / "a.parquet")
    assert set(read_table(tmp_path / "a.parquet").columns) == set(table().columns)
