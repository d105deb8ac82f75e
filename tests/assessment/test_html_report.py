import re
from base64 import b64encode
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest

from tests.examples import sensors
from tsad.assessment.assessment import Assessment, Certainty, Gain, assessment_from_scores
from tsad.assessment.html_report import page
from tsad.data.card import data_card
from tsad.data.dataset import DataSet, TypedEvent
from tsad.evaluation.anomaly_types import AnomalyTypeScores
from tsad.evaluation.intervals import Interval
from tsad.evaluation.registry import used_as
from tsad.evaluation.report import evaluate
from tsad.evaluation.root_cause import RootCauseScores
from tsad.provenance import Provenance
from tsad.series import Series

PNG = b"\x89PNG not really"
VOID = {"meta", "img"}
KINDS = (TypedEvent(100, 120, "flood"), TypedEvent(103, 106, "scan"), TypedEvent(300, 305, "flood"))


class Page(HTMLParser):
    """A page as it is read: its tags, its text, its tables by heading, and whether every tag is closed."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.text, self.sections, self.rows = [], [], "", {}, []
        self.heading = ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.sections.setdefault(self.heading, []).append([])
        if tag in {"th", "td"} and self.heading:
            self.sections[self.heading][-1].append("")
        if tag == "h2":
            self.heading = ""

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "style":
            return
        self.text += data
        if "h2" in self.open:
            self.heading += data
        elif "tr" in self.open and {"th", "td"} & set(self.open):
            self.sections[self.heading][-1][-1] += data

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]

    def table(self, heading):
        """Returns the cells of the lines below the column heads by line and column."""
        _, head, *lines = self.sections[heading]
        return {name: dict(zip(head[1:], cells, strict=True)) for name, *cells in lines}


def numbers(cell):
    return [float(number) for number in re.findall(r"-?[\d.]+", cell)]


@pytest.fixture(scope="module")
def known():
    """400 rows, of which a rule of the scores finds some anomalies, beside a random and a worse detector."""
    generator = np.random.default_rng(0)
    labels = np.zeros(400, bool)
    labels[100:120] = labels[300:305] = True
    scores = generator.random(400) + 0.6 * labels
    scores[:7] = np.nan
    baseline_scores = {"random": generator.random(400), "l2": generator.random(400) + 0.3 * labels}
    reports = {
        name: evaluate(each, each > 0.9, labels, rows_per_day=100)
        for name, each in {"detector": scores, **baseline_scores}.items()
    }
    first = assessment_from_scores(scores, labels, "alone")
    certainty = Certainty(
        chance=first.certainty.chance,
        intervals={
            "detector": Interval(0.5, 0.4, 0.6),
            "random": Interval(0.1, 0.05, 0.15),
            "l2": Interval(0.2, 0.1, 0.3),
        },
        gain=Gain("l2", 0.5, 0.2, Interval(0.3, 0.25, 0.35)),
        permuted=first.certainty.permuted,
    )
    series = sensors(400)
    data = DataSet(
        "pumps & co",
        "a <b>file</b>",
        series,
        Series(series.values, series.features, labels),
        step_seconds=60.0,
        typed_events=KINDS,
    )
    return Assessment(
        title="a detector on data",
        scores=scores,
        flags=scores > 0.9,
        thresholds=np.full(400, 0.9),
        labels=labels,
        first_row=50,
        report=reports["detector"],
        provenance=Provenance(),
        baselines={name: reports[name] for name in baseline_scores},
        baseline_scores=baseline_scores,
        certainty=certainty,
        anomaly_types={
            "detector": (
                AnomalyTypeScores("flood", 2, 25, 0.5, 0.31, 0.42, 0.0625),
                AnomalyTypeScores("scan", 1, 3, *[None] * 4),
            ),
            "random": (AnomalyTypeScores("flood", 2, 25, 0.0, 0.01, 0.07, 0.0625),),
            "l2": (AnomalyTypeScores("flood", 2, 25, 1.0, 0.21, 0.53, 0.0625),),
        },
        causes=(RootCauseScores(0.71, 0.72, 0.73, 0.74), RootCauseScores(0.21, 0.22, 0.23, 0.24)),
        card=data_card(replace(data, defects=("a sensor was swapped",))),
    )


@pytest.fixture(scope="module")
def read(known):
    return Page(page(known, {"scores": PNG, "roc": PNG, "heat map": PNG}))


def test_the_conclusion_and_whose_labels_were_used_come_first(known, read):
    start = read.text.split("Metrics")[0]
    assert (
        start.index(known.title) < start.index(known.certainty.gain.sentence) < start.index(known.provenance.sentence)
    )
    assert "Reported rows: 400, from row 50 of the test rows; 393 have a score" in start


def test_every_metric_of_the_headline_is_there_for_every_detector_with_its_value(known, read):
    table = read.table("Metrics")
    assert list(table) == ["detector", "l2", "random", "chance"]  # by falling PR-AUC
    for metric in used_as("table"):
        for name, report in {"detector": known.report, **known.baselines}.items():
            if metric.name != "ranking/pr_auc":
                assert numbers(table[name][metric.heading]) == [round(report.metrics[metric.name], 3)]
        expected = [round(number, 3) for number in known.certainty.chance[metric.name]]
        assert numbers(table["chance"][metric.heading]) == expected
    assert [numbers(table[name]["PR-AUC"]) for name in ("detector", "l2")] == [[0.5, 0.4, 0.6], [0.2, 0.1, 0.3]]


def test_the_columns_stand_under_their_group_and_only_the_oracle_is_set_apart(read):
    groups, head = read.sections["Metrics"][:2]
    assert groups == ["", "order of the scores", "oracle", "flags"]
    spans = [int(cell["colspan"]) for cell in read.all("th") if cell.get("scope") == "colgroup"][:3]
    assert spans == [3, 1, 5]
    assert head == ["", *(metric.heading for metric in used_as("table"))]
    oracles = [cell for name, cell in read.tags if name == "td" and cell.get("class") == "oracle"]
    assert len(oracles) == 4 + 4  # a column of the headline, one of the windows


def test_flags_that_labels_of_these_rows_chose_are_an_oracle_too(known):
    oracle = Page(page(replace(known, provenance=Provenance(threshold="test")), {}))
    assert oracle.sections["Metrics"][0] == ["", "order of the scores", "oracle", "flags (oracle)"]
    assert oracle.sections["In operation"][0] == ["", "flags (oracle)"]


def test_the_operation_is_told_with_delays_and_false_alarms(known, read):
    table = read.table("In operation")
    for metric in used_as("operation"):
        assert numbers(table["detector"][metric.heading]) == pytest.approx(
            [known.report.metrics[metric.name]], rel=2e-3
        )
    assert table["chance"]["false alarms per day"] == "-"


def test_windows_have_a_table_of_their_own_with_a_warning(known, read):
    after = read.text.split("By windows")[1]
    assert "Do not compare with the numbers above. A window of 128 rows, one every 32 rows," in after
    table = read.table("By windows")
    assert numbers(table["detector"]["PR-AUC"]) == [round(known.report.metrics["window/pr_auc"], 3)]
    assert list(table["detector"]) == ["PR-AUC", "ROC-AUC", "best F1", "F1"]


def test_luck_and_causes_are_told_beside_chance(known, read):
    assert f"PR-AUC is {known.certainty.permuted}." in read.text
    head, *lines = read.sections["Root causes"]
    assert head == ["", "HitRate@100%", "HitRate@150%", "NDCG", "cause in top 3"]
    assert lines == [["detector", "0.710", "0.720", "0.730", "0.740"], ["chance", "0.210", "0.220", "0.230", "0.240"]]


def test_kinds_are_told_beside_the_best_baseline_detector(known, read):
    head, *lines = read.sections["Anomaly types"]
    assert head[1:] == ["events", "rows", "events detected", "recall", "PR-AUC", "chance", "best baseline"]
    assert lines == [
        ["flood", "2", "25", "0.500", "0.310", "0.420", "0.062", "0.530 (l2)"],
        ["scan", "1", "3", "-", "-", "-", "-", "-"],
    ]
    chosen = page(replace(known, provenance=Provenance(threshold="test")), {})
    assert 'class="oracle">0.310</td>' in chosen


def test_the_data_are_told_with_their_defects(known, read):
    _, train, test = read.sections["The data"]
    assert train[1:6] == ["400", "1", "unknown", "not labeled", "-"]
    assert test[4:6] == ["25 (6.25 %) in 2 events", "5 / 12.5 / 20"]
    assert test[6] == known.card.test.values_sha256[:12]
    for sentence in (
        "a sensor was swapped",
        "60 seconds",
        str(known.card.rows_in_train),
        str(known.card.windows_in_train),
        "Anomaly types: flood 25 rows in 2 events; scan 3 rows in 1 events",
    ):
        assert sentence in read.text


def test_every_metric_is_explained(read):
    glossary = read.text.split("Meaning of the metrics")[1]
    for metric in (*used_as("table"), *used_as("operation")):
        assert metric.heading in glossary
        assert metric.description in glossary


def test_nothing_is_loaded_from_elsewhere(known):
    text = page(known, {"scores": PNG, "roc": PNG})
    read = Page(text)
    assert [image["src"] for image in read.all("img")] == [f"data:image/png;base64,{b64encode(PNG).decode()}"] * 2
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in read.tags}
    loading = {"src", "href", "srcset", "data", "action", "poster"}
    elsewhere = [
        value for _, each in read.tags for name, value in each.items() if name in loading and value[:5] != "data:"
    ]
    assert not elsewhere
    assert not re.search(r"https?:|url\(|@import", text)


def test_every_picture_says_what_it_is_and_stands_once(read):
    alternatives = [image["alt"] for image in read.all("img")]
    assert alternatives[0].startswith("The score of every row")
    assert alternatives[1].startswith("Recall over the fraction of normal rows")
    assert alternatives[2:] == ["heat map"]
    assert read.text.index("The score of every row") < read.text.index("In operation") < read.text.index("heat map")


def test_headings_form_one_outline(read):
    thresholds = [int(tag[1]) for tag, _ in read.tags if re.fullmatch(r"h\d", tag)]
    assert thresholds[0] == 1
    assert thresholds.count(1) == 1
    assert all(later - earlier <= 1 for earlier, later in pairwise(thresholds))


def test_names_cannot_become_markup(known):
    title = "<script>alert('x')</script> & co"
    text = page(replace(known, title=title), {"<img src=x>": PNG})
    assert "<script" not in text
    read = Page(text)
    assert read.text.count(title) == 2  # title and heading
    assert len(read.all("img")) == 1
    assert "a <b>file</b>" in read.text


def test_without_a_baselines_nothing_is_said_to_be_beaten(known):
    certainty = replace(known.certainty, gain=None)
    alone = Page(page(replace(known, baselines={}, baseline_scores={}, certainty=certainty), {}))
    assert "no baseline was run on these rows" in alone.text
    assert "No baseline was run on these rows." in alone.text
    assert list(alone.table("Metrics")) == ["detector", "chance"]
    apart = Page(page(replace(known, certainty=certainty), {}))
    assert "the detector and the baselines share no scored rows of both classes" in apart.text


def test_baselines_that_would_not_fit_are_named(known):
    assert "left out" not in Page(page(known, {})).text
    wide = Page(page(replace(known, too_large={"k-means": 2**32}), {}))
    assert "Baselines that would take more than 2 GiB on rows this wide were left out: k-means (4.0 GiB)." in wide.text


def test_adjusted_f1_never_stands_without_that_of_a_random_score(known):
    assert "PA-F1" in Page(page(replace(known, certainty=None), {})).table("Metrics")["random"]
    baselines = {"l2": known.baselines["l2"]}
    assert "PA-F1" not in Page(page(replace(known, certainty=None, baselines=baselines), {})).table("Metrics")["l2"]


@pytest.mark.slow
def test_scores_and_labels_alone_make_a_page(known):
    found = assessment_from_scores(known.scores, known.labels, "scores alone")
    read = Page(page(found, {}))
    assert found.provenance.sentence in read.text
    assert "deployable F1" not in read.table("Metrics")["detector"]
    assert "deployable/f1: labels of these rows chose the flags" in read.text
    assert "tsad evaluate --scores scores.npy --labels labels.npy" in read.text
    assert "tsad train" not in read.text
    assert "There is no data card: only scores were given." in read.text
    assert "the data names no root cause of a reported event" in read.text
    assert not read.all("img")
    assert "Pictures" not in read.text


def test_a_page_without_labels_says_so_where_a_reader_would_look(known):
    report = evaluate(known.scores, known.flags, None)
    unlabeled = Assessment("no labels", known.scores, known.flags, known.thresholds, None, 0, report, Provenance())
    read = Page(page(unlabeled, {"scores": PNG}))
    assert not read.all("table")
    for sentence in (
        "It is unknown whether the detector beats the best baseline: no labels.",
        "No metric is defined on these rows",
        "There is no chance level",
        "Without labels there is no metric of its flags.",
        "Not tested: the test needs labeled rows of both classes.",
        "No metric of windows is defined",
        "there is nothing to reproduce",
    ):
        assert sentence in read.text
    assert "ranking/pr_auc" in read.text.split("Undefined metrics")[1]
    unflagged = Page(page(replace(unlabeled, flags=None, thresholds=None), {}))
    assert "No threshold was given, so nothing is flagged." in unflagged.text
