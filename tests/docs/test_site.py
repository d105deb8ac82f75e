"""The site is built strictly and loads nothing from elsewhere; the examples that are marked run."""

import re
import shutil

import pytest

from tests.docs.pages import BLOCKS, REPOSITORY
from tests.processes import PYTHON, ran


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    ran([PYTHON, "-m", "mkdocs", "build", "--strict", "--site-dir", folder], REPOSITORY)
    return folder


@pytest.mark.slow
def test_no_page_of_the_site_loads_anything_from_elsewhere(site):
    pages = list(site.rglob("*.html"))
    assert len(pages) > 25
    for page in pages:
        text = page.read_text(encoding="utf-8")
        loads = re.findall(
            r"<(?:script|img|iframe)[^>]*\ssrc=\"?([^\"\s>]+)|<link[^>]*rel=\"?stylesheet[^>]*href=\"?([^\"\s>]+)", text
        )
        assert not [one for pair in loads for one in pair if one.startswith(("http:", "https:", "//"))], page.name
        assert "<!-- generated: " not in text


@pytest.mark.slow
def test_the_python_reference_has_every_public_name(site):
    import tsad

    text = (site / "reference/python/index.html").read_text(encoding="utf-8")
    assert not [name for name in tsad.__all__ if f'id="tsad.{name}' not in text and name != "__version__"]


def examples(page):
    return [block.text for block in BLOCKS if block.page == page and block.marker == "test: run in a slow test"]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with the files that the examples name, and a champion in the registry."""
    folder = tmp_path_factory.mktemp("workplace")
    anomaly = ["--anomaly-start", "1500", "--anomaly-length", "60"]
    rows = ["--num-samples", "2000", "--num-features", "4", *anomaly]
    files = ["--output-path", "rows.csv", "--labels-path", "labels.csv", "--train-path", "normal.csv"]
    tsad = [PYTHON, "-m", "tsad"]
    ran([*tsad, "generate", *rows, *files], folder)
    shutil.copy(folder / "rows.csv", folder / "today.csv")
    ran([*tsad, "data", "check", "rows.csv", "--experiment", "rows.yaml", "--space", "rows_search.yaml"], folder)
    ran([*tsad, "search", "rows_search.yaml", "--trials", "4"], folder)
    ran([*tsad, "score", "models:/tsad@champion", "rows.csv"], folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("page", sorted({block.page for block in BLOCKS if block.marker.startswith("test: ")}))
def test_the_examples_of_a_page_run_in_the_order_of_the_page(page, workplace):
    for number, text in enumerate(examples(page)):
        path = workplace / f"example_{number}.py"
        path.write_text(text, encoding="utf-8")
        ran([PYTHON, path.name], workplace)
