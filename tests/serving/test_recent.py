"""The rows that were scored lately: how many are kept, and a threshold that outlives the service."""

import json

import numpy as np
import pytest

from tests.serving.services import saved_detector
from tsad.drift import PROFILE
from tsad.errors import DataError, DetectorError
from tsad.serving.model import open_model
from tsad.serving.recent import LOG, MOST, THRESHOLD, Recent


@pytest.fixture(scope="module")
def rows(tmp_path_factory, folder):
    return saved_detector(folder / "detector")[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("place")


@pytest.fixture
def served(folder, rows):
    return open_model(str(folder / "detector"), folder)


def recent_of(served, state, note=lambda done: None):
    return Recent(served, state, note)


def filled(recent, rows, served, times=3):
    for _ in range(times):
        recent.take(rows.values, served.detector.score(rows).values)
    return recent


def test_what_came_last_is_kept_and_no_more(served, rows, tmp_path):
    recent = recent_of(served, tmp_path)
    for place in range(300):
        recent.take(rows.values + place, np.full(100, float(place)))
    kept, scores = recent._now()
    assert len(kept) == len(scores) == MOST
    assert scores[0] == 100
    assert scores[-1] == 299
    recent.take(np.zeros((3 * MOST, 6), np.float32), np.zeros(3 * MOST))
    assert not recent._now()[0].any()


def test_rows_without_a_score_count_for_drift_and_not_for_the_threshold(served, rows, tmp_path):
    recent = recent_of(served, tmp_path)
    recent.take(rows.values, np.full(100, np.nan))
    assert recent.drift()["rows"] == 100
    with pytest.raises(DataError, match="needs at least 100 recent scores, but there are 0; score rows first"):
        recent.recalibrate()
    assert not (tmp_path / LOG).exists()


def test_nothing_is_said_of_no_rows_and_of_a_model_without_profile(served, folder, rows, tmp_path):
    found = recent_of(served, tmp_path).drift()
    assert (found["state"], found["message"]) == ("unknown", "no rows were scored yet")
    kept = (folder / "detector" / PROFILE).read_bytes()
    (folder / "detector" / PROFILE).unlink()
    try:
        found = filled(recent_of(served, tmp_path), rows, served).drift()
    finally:
        (folder / "detector" / PROFILE).write_bytes(kept)
    assert (found["state"], found["rows"], found["features"]) == ("unknown", 300, [])
    assert "profile.json" in found["message"]


def test_recalibration_is_told_logged_and_taken_up_again(served, folder, rows, tmp_path):
    told = []
    before = served.detector.threshold
    done = filled(recent_of(served, tmp_path, told.append), rows, served).recalibrate()
    assert done["rows"] == 3 * (100 - served.detector.scorer.rows_before)
    assert told == [done]
    assert served.detector.threshold != before
    (line,) = map(json.loads, (tmp_path / LOG).read_text().splitlines())
    assert line["after"] == done["after"]
    again = open_model(str(folder / "detector"), folder)
    recent_of(again, tmp_path)
    assert again.detector.threshold == served.detector.threshold
    assert again.pyfunc.unwrap_python_model().detector is again.detector


def test_the_threshold_of_another_detector_is_not_taken_up(served, folder, rows, tmp_path):
    filled(recent_of(served, tmp_path), rows, served).recalibrate()
    kept = json.loads((tmp_path / THRESHOLD).read_text())
    (tmp_path / THRESHOLD).write_text(json.dumps(kept | {"digest": "another"}))
    again = open_model(str(folder / "detector"), folder)
    recent_of(again, tmp_path)
    assert again.detector.threshold != served.detector.threshold


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"digest": "DIGEST", "threshold": {"kind": "none of ours"}}'])
def test_a_damaged_threshold_is_refused_by_name(served, tmp_path, content):
    (tmp_path / THRESHOLD).write_text(content.replace("DIGEST", served.detector.digest))
    with pytest.raises(DetectorError, match=f"{THRESHOLD}: must be a recalibrated threshold.*; remove it"):
        recent_of(served, tmp_path)
