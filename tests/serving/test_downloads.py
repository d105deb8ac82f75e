"""Names in what the page saves: no spreadsheet takes them for a formula, and nothing turns the direction of writing."""

import csv
import io
import json
import shutil
import subprocess
from pathlib import Path

import pytest

MODULE = Path(__file__).parents[2] / "tsad/serving/page/csv.js"
NODE = shutil.which("node")

pytestmark = pytest.mark.skipif(NODE is None, reason="needs Node.js")


def written(names):
    """Returns the header of the CSV text that the page writes for columns of these names."""
    code = (
        f"import {{ writeCsv }} from {json.dumps(MODULE.as_uri())};"
        f"process.stdout.write(writeCsv({json.dumps(names)}.map((name) => [name, () => name]), 1));"
    )
    words = [NODE, "--no-warnings", "--experimental-default-type=module", "--input-type=module", "-e", code]
    text = subprocess.run(words, capture_output=True, check=True, timeout=60).stdout.decode()
    header, row = csv.reader(io.StringIO(text))
    assert header == row
    return header


def test_formulas_are_quoted_and_signs_that_nobody_sees_replaced():
    formulas = [
        "=1+1",
        "+cmd|' /C calc'!A0",
        "-2+3",
        "@SUM(A1)",
        "\t=1",
        " =1",
        "\u200b=1",
        "\ufeff=1",
        "\uff1d1",
        "%0A=1",
        "|x",
    ]
    assert all(name.startswith("'") for name in written(formulas))
    for hidden in "\u202e\u202d\u2066\u2069\u200f\u061c\u2028\x00\x1b\n":
        (name,) = written([f"cpu{hidden}gpj.exe"])
        assert name == "cpu\ufffdgpj.exe"


def test_numbers_and_plain_names_stay():
    plain = ["-1.5", "+2", "-1e-7", "cpu", "Größe", "a,b", 'say "x"', "a=b", "x-y", "\u6e29\u5ea6", ""]
    assert written(plain) == plain
