"""The page of a fleet, in a browser: whose rows are scored, compared and described is chosen in its header."""

import pytest
from playwright.sync_api import expect

from tests.fleets import panel
from tests.serving.services import service
from tests.serving.test_served_fleet import NAMES, fleet  # noqa: F401 (a fixture)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def address(fleet, tmp_path_factory):  # noqa: F811
    with service(fleet.folder, tmp_path_factory.mktemp("state")) as client:
        yield f"http://127.0.0.1:{client.port}"


@pytest.fixture
def page(address, browser):
    complaints = []
    page = browser.new_page()
    page.set_default_timeout(20_000)
    page.on("console", lambda message: message.type in ("error", "warning") and complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(address)
    yield page
    page.close()
    assert complaints == []


def test_rows_are_scored_by_the_entity_that_they_or_the_header_name(page, tmp_path):
    expect(page.locator("#entity option")).to_have_text(["named by the rows", *NAMES])
    page.click("#score-form [type=submit]")
    expect(page.locator("#score-status")).to_contain_text("1,000 rows")
    rows = panel(NAMES, 40)
    rows.to_csv(tmp_path / "rows.csv", index=False)
    page.check("input[value=file]")
    page.set_input_files("#file", tmp_path / "rows.csv")
    page.click("#score-form [type=submit]")
    expect(page.locator("#score-status")).to_contain_text("160 rows")
    expect(page.locator("#score-status")).to_contain_text("28 rows without a score")
    rows[rows["machine"] == "7"].drop(columns="machine").to_csv(tmp_path / "one.csv", index=False)
    page.select_option("#entity", "7")
    page.set_input_files("#file", tmp_path / "one.csv")
    page.click("#score-form [type=submit]")
    expect(page.locator("#score-status")).to_contain_text("40 rows")


def test_the_model_and_the_drift_of_an_entity_are_shown(page, address):
    page.goto(f"{address}/#model")
    expect(page.locator("#model")).to_contain_text("Entities")
    expect(page.locator("#model")).not_to_contain_text("Rows of context")
    page.select_option("#entity", "pump 7")
    expect(page.locator("#model")).to_contain_text("pump 7: window_linear")
    page.goto(f"{address}/#drift")
    expect(page.locator("#drift-threshold")).to_contain_text("Threshold:")
