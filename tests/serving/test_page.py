"""The page of the service, driven by a real browser against a real service."""

import csv
import io
import re
from pathlib import Path

import mlflow
import numpy as np
import pytest
from playwright.sync_api import Page, expect

import tests.stores  # noqa: F401 (imports MLflow without its warnings)
from tests.processes import PYTHON, free_port, running
from tests.stores import clear_environment, opened
from tsad.assessment.file_names import DETECTOR
from tsad.config import ExperimentConfig
from tsad.data.sets.synthetic import SyntheticSpec
from tsad.drift import Profile
from tsad.experiment import run
from tsad.registry.log import log_detector
from tsad.registry.register import register
from tsad.spec import parse
from tsad.tracking.runs import RunWriter

pytestmark = [
    pytest.mark.slow,
    # MLflow's look at the input example, under pandas 3.1
    pytest.mark.filterwarnings("ignore:Operation with range is deprecated:pandas.errors.Pandas4Warning"),
]

EXPERIMENT = {
    "data": {"kind": "synthetic"},
    "window": {"length": 16},
    "model": {"kind": "window_linear", "components": 16},
    "threshold": {"kind": "percentile", "percentile": 99.9},
}
METRICS = {"ranking/pr_auc": 0.75, "baseline/random/ranking/pr_auc": 0.08, "baseline/l2/ranking/pr_auc": 0.21}
VIEWS = ("score", "model", "search", "drift")
ROWS, DISTURBED, FIRST, LAST = 1000, "sensor_05", 400, 429
PATIENCE = 60_000
"""Milliseconds that anything on the page may take on a busy machine."""

# first and last column of the canvas with something red in the score baselines, as shares of its width
SHADED = """canvas => {
  const {width, height} = canvas, pixels = canvas.getContext("2d").getImageData(0, 0, width, height).data;
  const y = Math.round(25 * devicePixelRatio), found = [];
  for (let x = 0; x < width; x += 1) {
    const [red, green] = pixels.subarray(4 * (y * width + x), 4 * (y * width + x) + 2);
    if (red > green + 25) found.push(x / width);
  }
  return found.length ? [found[0], found.at(-1)] : null;
}"""
SHIFTS = """() => new Promise(done => new PerformanceObserver(list =>
  done(list.getEntries().reduce((sum, entry) => sum + entry.value, 0))).observe({type: "layout-shift", buffered: true})
  || setTimeout(() => done(0), 500))"""


# --- a service, a browser, a page ---


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """The address of a service whose model learned the built-in series and is champion of a registry."""
    folder = tmp_path_factory.mktemp("service")
    with pytest.MonkeyPatch.context() as patch:
        clear_environment(patch)
        store = opened(folder)
        experiment = parse(ExperimentConfig, EXPERIMENT, "experiment")
        data = experiment.data.load(Path())
        outcome = run(experiment, data)
        outcome.detector.save(folder / DETECTOR)
        Profile.of(outcome.detector, outcome.parts.fit, outcome.validation).save(folder / DETECTOR)
        writer = RunWriter.create(store, store.experiment(), "learns", {})
        for name, value in METRICS.items():
            mlflow.MlflowClient().log_metric(writer.run_id, name, value)
        version = register(
            log_detector(writer.run_id, folder / DETECTOR, data.test, {}), "tsad", {"run": writer.run_id}
        )
        mlflow.MlflowClient().set_registered_model_alias("tsad", "champion", version)
        writer.end()
    port = free_port()
    with running(
        [PYTHON, "-m", "tsad", "serve", "models:/tsad@champion", "--port", port],
        folder,
        f"http://127.0.0.1:{port}/ping",
        MLFLOW_TRACKING_URI=f"sqlite:///{folder / 'mlflow.db'}",
        OMP_NUM_THREADS=1,
    ):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def open_page(service, browser):
    """Opens the page in a window of some size; at the end nothing may have been asked elsewhere or complained of."""
    contexts, complaints, asked = [], [], []

    def opened_page(view="score", width=1280, height=900, **options) -> Page:
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: message.type in ("error", "warning") and complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{service}/#{view}")
        page.complaints = complaints
        return page

    expect.set_options(timeout=PATIENCE)
    yield opened_page
    for context in contexts:
        context.close()
    assert asked
    assert [url for url in asked if not url.startswith((service, "blob:"))] == []
    assert complaints == []


@pytest.fixture(scope="module")
def disturbed(tmp_path_factory):
    """A file of normal rows, but for one sensor that stands 3 higher for a while."""
    series = SyntheticSpec(kind="synthetic").load(Path()).train.part(0, ROWS)
    values = series.values.copy()
    values[FIRST : LAST + 1, series.features.index(DISTURBED)] += 3
    path = tmp_path_factory.mktemp("files") / "disturbed.csv"
    np.savetxt(path, values, "%.6f", delimiter=",", header=",".join(series.features), comments="")
    return path


def upload(page, path):
    page.get_by_label("a CSV file").first.check()
    page.locator("#file").set_input_files(path)
    page.get_by_role("button", name="Score", exact=True).click()


def score_sample(page):
    page.locator("#series option").first.wait_for(state="attached")
    page.get_by_role("button", name="Score", exact=True).click()
    expect(page.locator("#events button").first).to_be_visible()


def shaded_rows(page):
    """Returns about which rows the chart shades, from the whole view."""
    page.wait_for_timeout(200)
    canvas = page.locator("#score-chart canvas")
    first, last = canvas.evaluate(SHADED)
    width = canvas.bounding_box()["width"]
    return [(share * width - 50) / (width - 60) * ROWS for share in (first, last)]


# --- scores ---


def test_an_uploaded_anomaly_is_shaded_listed_and_explained(open_page, disturbed):
    page = open_page()
    upload(page, disturbed)
    expect(page.locator("#score-status")).to_contain_text(f"{ROWS:,} rows: ")
    peaks = [float(peak) for peak in page.locator("#events td.number:nth-child(2)").all_inner_texts()]
    page.locator("#threshold").fill(str(max(peaks) / 3))
    page.locator("#threshold").press("Enter")
    expect(page.locator("#score-status")).to_contain_text("With your threshold")
    row = page.locator("#events tbody tr")
    expect(row).to_have_count(1)
    assert shaded_rows(page) == pytest.approx([FIRST, LAST], abs=20)
    row.get_by_role("button").click()
    explained = page.locator("#explanation")
    expect(explained).to_contain_text("Event 1: rows")
    expect(explained.locator(".name").first).to_have_text(DISTURBED)


def test_choosing_an_event_zooms_to_it(open_page):
    page = open_page()
    score_sample(page)
    before = page.locator("#score-chart .hint.number").inner_text()
    page.locator("#events button").first.click()
    expect(page.locator("#score-chart .hint.number")).not_to_have_text(before)
    expect(page.locator("#score-chart output")).to_contain_text("flagged")
    page.get_by_role("button", name="Whole series").click()
    expect(page.locator("#score-chart .hint.number")).to_have_text(before)


def test_an_own_threshold_flags_anew_until_it_is_reset(open_page):
    page = open_page()
    score_sample(page)
    summary = page.locator("#score-status").inner_text()
    page.locator("#threshold").fill("1e9")
    page.locator("#threshold").press("Enter")
    expect(page.locator("#score-status")).to_contain_text("0 events, 0 rows flagged")
    expect(page.locator("#explanation")).to_contain_text("No score is above the threshold")
    page.get_by_role("button", name="Reset").click()
    expect(page.locator("#score-status")).to_contain_text(summary)


def test_the_scored_rows_can_be_kept(open_page, disturbed):
    page = open_page()
    upload(page, disturbed)
    with page.expect_download() as found:
        page.get_by_role("button", name="Download scored rows").click()
    rows = list(csv.DictReader(io.StringIO(Path(found.value.path()).read_text())))
    assert found.value.suggested_filename == "disturbed-scored.csv"
    assert len(rows) == ROWS
    sent = list(csv.DictReader(io.StringIO(disturbed.read_text())))
    assert [float(row[DISTURBED]) for row in rows] == pytest.approx([float(row[DISTURBED]) for row in sent])
    assert {row["flag"] for row in rows[FIRST + 5 : LAST - 5]} == {"true"}
    assert rows[0]["score"] == ""


def test_a_wrong_file_is_told_what_is_wrong_with_it(open_page, tmp_path):
    wrong = tmp_path / "wrong.csv"
    wrong.write_text("sensor_00,sensor_01\n1,2\n3,4\n")
    page = open_page()
    upload(page, wrong)
    expect(page.locator("#score-status")).to_have_class(re.compile("error"))
    expect(page.locator("#score-status")).to_contain_text("sensor_02")
    expect(page.locator("#score-result")).to_be_hidden()
    assert "status of 400" in page.complaints.pop()


# --- the model, searches, drift ---


def test_the_versions_name_the_champion_and_its_metrics(open_page):
    page = open_page("model")
    expect(page.locator("#model")).to_contain_text("tsad, version 1")
    expect(page.locator("#model")).to_contain_text("no labels were used")
    expect(page.locator("#model tbody tr")).to_have_text("ranking/pr_auc0.7500.210l2")
    row = page.locator("#versions tbody tr")
    expect(row).to_have_count(1)
    expect(row).to_contain_text("champion")
    expect(row).to_contain_text("0.750")


def test_a_search_is_watched_to_its_end(open_page):
    page = open_page("search")
    page.locator("#search-series").select_option("synthetic")
    page.get_by_label("Trials").fill("2")
    page.get_by_role("button", name="Start search").click()
    expect(page.locator("#job > .status")).to_contain_text(re.compile(r"of 2 trials|Waits"))
    expect(page.locator("#job > .status")).to_contain_text("Finished", timeout=600_000)
    expect(page.locator("#job .trials tbody tr")).to_have_count(2)
    expect(page.locator("#job .trials tbody tr").first).to_contain_text("finished")
    expect(page.locator("#job svg")).to_be_visible()
    expect(page.locator("#jobs")).to_contain_text("2 of 2")


def test_a_search_can_be_cancelled(open_page):
    page = open_page("search")
    page.locator("#search-series").select_option("synthetic")
    page.get_by_role("button", name="Start search").click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#job > .status")).to_contain_text("Cancelled")
    expect(page.get_by_role("button", name="Cancel")).to_be_hidden()


def test_pasted_numbers_are_checked_before_they_are_sent(open_page):
    page = open_page("search")
    page.locator("#predict-form").get_by_label("pasted").check()
    page.get_by_label("Numbers in time order").fill("1, 2, three")
    page.get_by_role("button", name="Train and predict").click()
    expect(page.locator("#predict-status")).to_contain_text("value 3 is 'three'")


def test_the_threshold_is_recalibrated_only_if_that_is_confirmed(open_page):
    page = open_page()
    score_sample(page)
    page.get_by_role("link", name="Drift").click()
    expect(page.locator("#drift-status")).to_contain_text("no rows of the source 'production'", ignore_case=True)
    page.get_by_label("Rows of the source").select_option("trial")
    expect(page.locator("#drift-status")).not_to_contain_text("production")
    told = page.locator("#recalibrate-status")
    page.get_by_role("button", name="Recalibrate threshold").click()
    page.get_by_role("button", name="Cancel").last.click()
    expect(page.locator("#confirm-dialog")).to_be_hidden()
    expect(told).to_be_empty()
    page.get_by_role("button", name="Recalibrate threshold").click()
    page.get_by_role("button", name="Recalibrate", exact=True).click()
    expect(told).to_contain_text(re.compile(r"before [\d.]+ .*, after [\d.]+ "))
    before, after = re.findall(r"(?:before|after) ([\d.]+)", told.inner_text())
    expect(page.locator("#drift-threshold")).to_contain_text(f"Threshold: {after} ")
    page.get_by_role("button", name="Undo recalibration").click()
    expect(told).to_contain_text(re.compile(f"undone: before {after} .*, after {before} "))
    expect(page.locator("#drift-threshold")).to_contain_text(f"Threshold: {before} ")
    expect(page.get_by_role("button", name="Undo recalibration")).to_be_disabled()


# --- for everybody ---


def test_the_keyboard_is_enough_to_score_and_to_read(open_page):
    page = open_page()
    page.locator("#series option").first.wait_for(state="attached")
    tab_to(page, "document.activeElement.textContent === 'Score' && document.activeElement.tagName === 'BUTTON'")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    expect(page.locator("#events button").first).to_be_visible()
    tab_to(page, "document.activeElement.tagName === 'CANVAS'")
    shown = page.locator("#score-chart .hint.number")
    everything = shown.inner_text()
    page.keyboard.press("n")
    expect(page.locator("#score-chart output")).to_contain_text("flagged")
    expect(shown).not_to_have_text(everything)
    page.keyboard.press("0")
    expect(shown).to_have_text(everything)


def tab_to(page, condition):
    """Presses Tab until the focus is where it should be."""
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate(condition):
            return
    pytest.fail(f"30 times Tab did not come to where {condition}")


@pytest.mark.parametrize("view", VIEWS)
def test_a_phone_never_scrolls_sideways(open_page, view):
    page = open_page("score", 360, 740, has_touch=True, is_mobile=True)
    score_sample(page)
    page.locator(f"nav a[href='#{view}']").click()
    expect(page.locator(f"#view-{view} h1")).to_be_visible()
    page.wait_for_timeout(500)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_nothing_moves_while_the_page_opens(open_page):
    page = open_page()
    page.locator("#series option").first.wait_for(state="attached")
    assert page.evaluate(SHIFTS) < 0.01


def test_a_token_is_asked_for_once_and_sent_from_then_on(open_page):
    page = open_page("drift")
    expect(page.locator("#drift-status")).to_contain_text("rows")
    sent = []

    def guarded(route):
        sent.append(route.request.headers.get("authorization"))
        if sent[-1] == "Bearer secret":
            route.continue_()
        else:
            route.fulfill(status=401, json={"error_code": "UNAUTHENTICATED", "message": "give the token"})

    page.route("**/api/**", guarded)
    page.reload()
    page.get_by_role("textbox", name="Token").fill("secret")
    page.get_by_role("button", name="Use").click()
    expect(page.locator("#drift-status")).to_contain_text("rows")
    page.locator("nav a[href='#model']").click()
    expect(page.locator("#versions")).to_contain_text("champion")
    assert page.locator("#token-dialog").is_hidden()
    assert sent[-1] == "Bearer secret"
    while page.complaints:
        assert "status of 401" in page.complaints.pop()
