"""What tests of a service share."""

import pytest
from playwright.sync_api import sync_playwright

from tests.browsers import launched
from tests.serving.services import saved_detector


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the detector of a module is, and where its service may keep its state."""
    return tmp_path_factory.mktemp("service")


@pytest.fixture(scope="module")
def rows(folder):
    """Rows that the detector, saved in `folder`, has not seen."""
    return saved_detector(folder / "detector")[1]


@pytest.fixture(scope="module")
def browser():
    """A browser without pages."""
    with sync_playwright() as driver:
        browser = launched(driver)
        yield browser
        browser.close()
