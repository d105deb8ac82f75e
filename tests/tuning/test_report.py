from dataclasses import replace

import pytest

from tests.tuning.trials import SPACE, drawn, in_niche, trial
from tsad.spec import parse
from tsad.tuning.report import WIDTH, nas_report
from tsad.tuning.space import Space
from tsad.tuning.spec import SearchSpec

EVOLUTION = SearchSpec()
MAP_ELITES = parse(SearchSpec, {"algorithm": {"kind": "map_elites"}}, "search")
LABELED = parse(SearchSpec, {"maximize": {"kind": "labeled"}, "algorithm": {"kind": "random"}}, "search")


def sections(trials, spec=EVOLUTION, space=SPACE):
    """Returns the lines of each section by its title."""
    found = {}
    for section in nas_report(trials, spec, space, "quick").split("\n\n"):
        title, rule, *lines = section.rstrip("\n").split("\n")
        assert rule == "-" * len(title)
        found[title] = lines
    return found


def cells(lines):
    return [line.split() for line in lines]


def test_the_head_says_what_was_searched_and_what_came_of_it():
    trials = [
        trial(0, 0.5),
        trial(1, 0.75, reused="run"),
        trial(2, state="failed", reason="broke"),
        trial(3, 0.25, state="stopped", elapsed=7200.0),
    ]
    head = "\n".join(sections(trials)["Search quick"])
    assert "hyperparameters: 5 choices, 1 ranges" in head
    assert "synthetic" in head
    assert "reads no label" in head
    assert "4: 2 finished, 1 stopped, 1 failed; 1 reused from an earlier search" in head
    assert "7200.0 s, 2 in parallel; 2 trainings an hour" in head  # three trainings in two hours
    assert "g00-lstm_ae-001 with 0.750" in head


def test_the_head_says_whose_labels_were_read():
    head = "\n".join(sections([trial(0, 0.5)], LABELED)["Search quick"])
    assert "labeled metric=ranking/pr_auc; reads the labels of the selection rows" in head


def test_a_generation_is_a_row():
    trials = [
        trial(0, 0.5),
        trial(1, 0.25),
        trial(2, state="failed", generation=1),
        trial(3, 0.375, generation=1, reused="run"),
        trial(4, 0.9, state="stopped", generation=1),
        trial(5, 0.75, generation=2),
    ]
    assert cells(sections(trials)["Generations"])[1:] == [
        ["0", "2", "2", "0", "0", "0.500", "0.375", "0.500"],
        ["1", "2", "1", "1", "1", "0.375", "0.375", "0.500"],
        ["2", "1", "1", "0", "0", "0.750", "0.750", "0.750"],
    ]


def test_a_search_without_generations_has_no_table_of_them():
    assert "Generations" not in sections(drawn(5))


def test_incumbents_say_what_changed():
    lstm = {"window.length": 0, "model": 0, "model:lstm_ae.hidden": 1, "scoring.smooth": 0}
    l2 = {"window.length": 0, "model": 2, "scoring.smooth": 0}
    trials = [trial(0, 0.5, params=lstm), trial(1, 0.25, params=lstm), trial(2, 0.75, params=l2, elapsed=12.5)]
    assert sections(trials)["Incumbents"] == [
        "0.500     g00-lstm_ae-000  (trial 1 to end, after 1.0 s)",
        "          length 8, model lstm_ae, lstm_ae.hidden 64, smooth none",
        "0.750     g00-lstm_ae-002  (trial 3 to end, after 12.5 s)",
        "          model lstm_ae -> l2, lstm_ae.hidden 64 -> not used",
    ]


def test_the_best_ten_stand_with_their_test_metrics():
    trials = [trial(n, n / 100, metrics={"ranking/vus_pr": 0.5, "oracle/best_f1": 0.25}) for n in range(12)]
    head, *rows = cells(sections(trials)["The best 10"])
    assert head[:6] == ["trial", "value", "vus_pr", "pr_auc", "roc_auc", "oracle/best_f1"]
    assert [row[0] for row in rows[:-1]] == [f"g00-lstm_ae-{number:03d}" for number in range(11, 1, -1)]
    assert rows[0] == ["g00-lstm_ae-011", "0.110", "0.500", "-", "-", "0.250", "-", "-", "-"]


def test_a_niche_is_a_row_with_its_best_trial():
    trials = [
        in_niche(0, 0.5, "tcn_ae", 65),
        in_niche(1, 0.25, "tcn_ae", 16),
        in_niche(2, 0.75, "tcn_ae", 65),
        in_niche(3, 0.625, "lstm_ae", 17),
        in_niche(4, 0.9, "lstm_ae", 17, state="stopped"),
        in_niche(5, None, "l2", 64, state="failed"),
    ]
    lines = sections(trials, MAP_ELITES)["Niches"]
    assert cells(lines[:5]) == [
        ["family", "memory", "trials", "best", "best", "trial"],
        ["l2", "medium", "1", "-", "-"],
        ["lstm_ae", "medium", "2", "0.625", "g00-lstm_ae-003"],
        ["tcn_ae", "short", "1", "0.250", "g00-tcn_ae-001"],
        ["tcn_ae", "long", "2", "0.750", "g00-tcn_ae-002"],
    ]
    assert "short fewer than 16 rows, medium 16 to 63 rows, long 64 rows or more" in " ".join(lines[5:])


def test_only_map_elites_has_niches():
    evolution = parse(SearchSpec, {"algorithm": {"kind": "evolution"}}, "search")
    assert "Niches" not in sections(drawn(5), evolution)
    assert "Niches" not in sections([], MAP_ELITES)


def test_with_costs_the_trials_that_nothing_beats_are_named():
    spec = parse(SearchSpec, {"minimize": ["cost/parameters"]}, "search")
    costs = {0: (0.5, 10.0), 1: (0.75, 20.0), 2: (0.5, 15.0), 3: (0.25, 5.0)}
    trials = [trial(n, value, metrics={"cost/parameters": cost}) for n, (value, cost) in costs.items()]
    found = sections([*trials, trial(4, 0.9)], spec)["Pareto front of value and costs"]
    assert [row[0] for row in cells(found)[1:]] == ["g00-lstm_ae-001", "g00-lstm_ae-000", "g00-lstm_ae-003"]
    assert "Pareto front of value and costs" not in sections(trials)


def test_the_most_important_param_comes_first():
    head, first, *_ = cells(sections(drawn(40))["Importance of hyperparameters"])
    assert head[:2] == ["param", "importance"]
    assert first[0] == "length"
    assert first[-1].strip("#") == ""


def test_correlations_say_that_test_labels_chose_nothing():
    lines = sections(drawn(30))["Rank correlation of the maximized value"]
    rows = {row[0]: row[1:] for row in cells(lines[:4])}
    assert rows["metric"] == ["correlation", "95", "%", "trials", "objective/validation_error"]
    assert rows["vus_pr"] == ["1.000", "1.000", "to", "1.000", "30", "-1.000"]
    assert rows["objective/validation_error"][:5] == ["-1.000", "-1.000", "to", "-1.000", "30"]
    assert "were computed with test labels afterwards and chose nothing" in " ".join(lines)


def test_random_stands_beside_the_search_at_as_many_trials():
    values = {0: 0.25, 1: 0.75, 2: 0.5}
    trials = [trial(n, value) for n, value in values.items()] + [
        trial(3, 0.9, parents=(0, 1), generation=1, seconds=3.0)
    ]
    lines = sections(trials)["Random search at equal cost"]
    assert cells(lines[1:4]) == [
        ["1", "0.500", "0.250", "to", "0.750", "0.250"],
        ["2", "0.667", "0.500", "to", "0.750", "0.750"],
        ["3", "0.750", "0.750", "to", "0.750", "0.750"],
    ]
    text = " ".join(lines)
    assert "from the 3 candidates of this search that were drawn at random, 3 of them finished" in text
    assert "the 4 trials cost as much as 6.0 random ones" in text


def test_what_was_taken_from_an_earlier_search_says_nothing_of_what_a_trial_takes():
    taken = [trial(n, 0.1 * n, reused="a run", seconds=0.0) for n in range(3)]
    text = " ".join(
        sections([*taken, trial(3, 0.9, seconds=12.0), trial(4, 0.8, seconds=24.0)])["Random search at equal cost"]
    )
    assert "the 5 trials cost as much as 2.0 random ones" in text
    assert "random ones" not in " ".join(sections(taken)["Random search at equal cost"])


def test_a_random_trial_that_did_not_finish_cost_as_much_and_came_to_nothing():
    lines = sections([trial(0, 0.25), trial(1, 0.9, state="stopped")])["Random search at equal cost"]
    assert cells(lines[1:3]) == [[size, "0.250", "0.250", "to", "0.250", "0.250"] for size in "12"]
    assert "from the 2 candidates of this search that were drawn at random, 1 of them finished" in " ".join(lines)


def test_only_the_first_population_of_map_elites_was_drawn_at_random():
    few = parse(SearchSpec, {"algorithm": {"kind": "map_elites", "population": 2}}, "search")
    trials = [trial(0, 0.25), trial(1, 0.75), trial(2, 0.9), trial(3, 0.5, parents=(0,))]
    assert "from the 2 candidates" in " ".join(sections(trials, few)["Random search at equal cost"])


def test_a_grid_says_nothing_of_random():
    grid = parse(SearchSpec, {"algorithm": {"kind": "grid"}}, "search")
    assert sections(drawn(5), grid)["Random search at equal cost"][0].startswith(
        "Unknown: no candidate that was drawn at random"
    )


def test_reasons_are_counted_and_cut():
    long = "DataError: " + "ümläut, 日本語\n" * 100
    trials = [trial(n, state="failed", reason="broke\n  twice") for n in range(20)]
    trials += [trial(20, state="stopped"), trial(21, state="failed", reason=long)]
    lines = sections(trials)["Trials that did not finish"]
    assert lines[0] == "  20 failed: broke twice (trials 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, ...)"
    assert lines[1] == "   1 stopped: no reason given (trial 20)"
    assert len(" ".join(lines[2:])) < 400
    assert lines[-1].endswith("… (trial 21)")


def test_every_configuration_is_listed():
    params = {"window.length": 2, "model": 1, "model:tcn_ae.hidden": 1}
    trials = [
        trial(7, 0.75, params=params, generation=1, parents=(0, 3), reused="run", seconds=12.34),
        trial(0, state="failed", family="l2"),
    ]
    first, second = cells(sections(trials)["Every configuration"][1:])
    assert " ".join(first) == "0 g00 failed - 1.0 s l2"
    expected = "7 g01 finished 0.750 12.3 s reused of 0 and 3: length=32 model=tcn_ae tcn_ae.hidden=32"
    assert " ".join(second) == expected


@pytest.mark.parametrize(
    "trials",
    [
        [],
        [trial(0, 0.5)],
        [trial(0, state="failed", reason="broke")],
        [trial(0, 0.5, state="stopped"), trial(1, float("nan")), trial(2, elapsed=0.0)],
        [trial(n, -1e9 if n % 7 else None, generation=n // 9, family="ä" * 200) for n in range(30)],
        [replace(each, elapsed=0.0, seconds=0.0) for each in drawn(13, population=4)],
        drawn(300, population=20),
    ],
    ids=["none", "one", "failed", "valueless", "odd", "timeless", "many"],
)
@pytest.mark.parametrize("space", [SPACE, Space({})], ids=["params", "no hyperparameters"])
@pytest.mark.parametrize("spec", [EVOLUTION, MAP_ELITES], ids=["evolution", "map_elites"])
def test_any_search_has_a_report_that_fits(trials, space, spec):
    report = nas_report(trials, spec, space, "x" * 200)
    assert max(map(len, report.splitlines())) <= WIDTH
    assert all(line == line.rstrip() for line in report.splitlines())
    assert report.count("Search xxx") == report.count("Random search at equal cost") == 1
    lines = report.split("active hyperparameters\n")[-1].splitlines()
    described = [line for line in lines if line[:4].strip().isdecimal()]
    assert len(described) == len(trials)
