"""A browser for tests: Chromium, which asks nobody anything by itself."""

import shutil

import pytest
from playwright.sync_api import Browser, Error, Playwright

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def launched(driver: Playwright) -> Browser:
    """Returns the system's Chromium, or playwright's own; fails if there is none."""
    try:
        return driver.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
    except Error as error:
        pytest.fail(f"the page needs a browser: apt-get install chromium, or playwright install chromium ({error})")
