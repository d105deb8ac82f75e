"""Hyperparameters are named and shown as people read them."""

from tests.tuning.trials import SPACE
from tsad.tuning.space import Space, param_names, param_values


def test_a_param_is_called_by_the_shortest_end_that_no_other_has():
    assert param_names(SPACE) == {
        "window.length": "length",
        "model": "model",
        "model:lstm_ae.hidden": "lstm_ae.hidden",
        "model:tcn_ae.hidden": "tcn_ae.hidden",
        "training.learning_rate": "learning_rate",
        "scoring.smooth": "smooth",
    }


def test_values_are_shown_as_they_were_written():
    params = {"scoring.smooth": 1, "training.learning_rate": 0.0123, "model:tcn_ae.hidden": 0, "model": 1}
    shown = param_values(params, SPACE)
    assert shown == {"model": "tcn_ae", "tcn_ae.hidden": "16", "learning_rate": "0.0123", "smooth": "mean"}


def test_options_of_one_kind_are_distinguished_by_their_index():
    space = Space({"mask": {"choice": [{"kind": "a", "size": 1}, {"kind": "a", "size": 2}, {"size": 3}]}})
    texts = [param_values({"mask": option}, space)["mask"] for option in range(3)]
    assert texts == ["a#0", "a#1", "option"]
