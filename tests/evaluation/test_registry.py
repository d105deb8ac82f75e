import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from tsad.evaluation import registry
from tsad.evaluation.registry import HEADLINES, METRICS, GateMetric, ObjectiveMetric, metric_table, names

LINE = '    _ranking("ranking/mine", lambda rows: 0.125, "My metric", "What mine is.", uses=("headline", "table", "gate")),'
USE_IT = """
import sys, types
from pathlib import Path
import tsad.evaluation.rows
import numpy as np

source = Path(sys.argv[1]).read_text(encoding="utf-8")
head = "METRICS: tuple[Metric, ...] = (\\n"
assert source.count(head) == 1
module = types.ModuleType("tsad.evaluation.registry")
sys.modules[module.__name__] = module
exec(source.replace(head, head + sys.argv[2] + "\\n"), module.__dict__)

from tsad.assessment.assessment import assessment_from_scores
from tsad.assessment.html_report import page
from tsad.assessment.summary import show_comparison
from tsad.evaluation.registry import metric_table
from tsad.selection.comparison import GateSpec

labels = np.arange(300) % 100 < 5
assessment = assessment_from_scores(np.random.default_rng(0).random(300), labels, "scores")
assert assessment.report.metrics["ranking/mine"] == 0.125
assert assessment.certainty.chance["ranking/mine"].mean == 0.125
assert "mine" in show_comparison("scores", assessment).splitlines()[0].split()
html = page(assessment, {"scores": b""})
assert ">My metric</th>" in html and "<dd>What mine is.</dd>" in html
assert GateSpec(metric="ranking/mine").metric == "ranking/mine"
assert any(row[0] == "ranking/mine" for row in metric_table())
print("seen")
"""


def test_a_new_metric_is_one_entry_and_appears_in_report_table_page_gate_and_docs():
    command = [sys.executable, "-c", USE_IT, str(Path(registry.__file__)), LINE]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.stdout == "seen\n", result.stderr


def test_every_metric_has_a_name_of_its_own_a_heading_and_a_meaning():
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    for metric in METRICS:
        assert metric.heading
        assert metric.meaning.endswith(".")
        assert metric.description.endswith(".")


def test_a_metric_is_an_oracle_exactly_if_its_name_says_so():
    assert {metric.name for metric in METRICS if metric.oracle} == {
        metric.name for metric in METRICS if metric.name.startswith("oracle/")
    }
    assert {row[0] for row in metric_table() if row[3] == "yes"} == {m.name for m in METRICS if m.oracle}


def test_headlines_are_those_that_comparisons_have_always_shown():
    assert HEADLINES == (
        "ranking/vus_pr",
        "ranking/pr_auc",
        "ranking/roc_auc",
        "oracle/best_f1",
        "deployable/f1",
        "event/f1",
        "affiliation/f1",
    )


def test_gate_and_objective_take_the_metrics_that_the_registry_allows_and_no_other():
    for annotation, use in ((GateMetric, "gate"), (ObjectiveMetric, "objective")):
        adapter = TypeAdapter(annotation)
        assert {metric.name for metric in METRICS if metric.name in adapter.json_schema()["enum"]} == set(names(use))
        for name in names(use):
            assert adapter.validate_python(name) == name
        with pytest.raises(ValidationError, match=r"input should be 'ranking/pr_auc', .* but got 'rows/scored'"):
            adapter.validate_python("rows/scored")
