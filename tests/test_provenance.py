from dataclasses import replace

import numpy as np
import pytest

from tests.examples import detector_of, sensors
from tsad.detector.detector import Detector
from tsad.detector.scoring import ScoringSpec
from tsad.models.baselines.l2 import L2Spec
from tsad.provenance import Provenance, worst


@pytest.mark.parametrize(
    ("used", "expected"),
    [
        ((), "nothing"),
        (("nothing", "nothing"), "nothing"),
        (("sibling", "nothing"), "sibling"),
        (("sibling", "development"), "development"),
        (("development", "nothing"), "development"),
        (("development", "selection"), "selection"),
        (("test", "selection", "nothing"), "test"),
    ],
)
def test_labels_nearer_to_the_report_do_more_harm(used, expected):
    assert worst(*used) == worst(*reversed(used)) == expected


@pytest.mark.parametrize("part", ["training", "threshold", "selection"])
def test_a_label_of_reported_rows_in_any_part_makes_an_oracle(part):
    assert Provenance(**{part: "test"}).oracle
    assert not Provenance(**{part: "selection"}).oracle
    assert not Provenance().oracle


def test_only_labels_in_training_make_it_supervised():
    assert Provenance(training="development").supervised
    assert not Provenance(threshold="test", selection="test").supervised


@pytest.mark.parametrize(
    ("provenance", "sentence"),
    [
        (Provenance(), "No labels were used in training, in the threshold or to select the detector."),
        (
            Provenance(training="development", selection="selection"),
            "Labels were used: those of the development rows in training; those of the selection rows to select the detector; "
            "none of them belongs to a reported row.",
        ),
        (
            Provenance(threshold="test"),
            "Labels were used: those of the test rows in the threshold; metrics of its flags are therefore an oracle.",
        ),
    ],
    ids=["none", "harmless", "oracle"],
)
def test_the_sentence_says_whose_labels_did_what(provenance, sentence):
    assert provenance.sentence == sentence


def test_a_champion_says_for_good_that_labels_chose_it(tmp_path):
    series = sensors(100)
    detector = detector_of(L2Spec(kind="l2"), series, 1, ScoringSpec())
    detector.save(tmp_path)
    assert Detector.load(tmp_path).provenance == Provenance()
    replace(detector, selection_labels="selection").save(tmp_path)
    declared = Detector.load(tmp_path)
    assert declared.provenance == Provenance(selection="selection")
    assert declared.provenance.parts()["selection"] == "selection"
    np.testing.assert_array_equal(declared.score(series).values, detector.score(series).values)
