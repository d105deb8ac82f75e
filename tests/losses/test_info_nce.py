from math import log

import pytest
import torch

from tsad.losses.contract import BatchOutput
from tsad.losses.info_nce import InfoNce

NOTHING = torch.zeros(3, 1, 1)


def info_nce(masked, clean, temperature):
    return float(InfoNce(temperature)(BatchOutput(NOTHING, NOTHING, views=(masked, clean))))


def test_info_nce_equals_a_case_worked_out_by_hand():
    # cosines 1 .6 0 / 0 .8 0 / 0 0 1, over 0.5: rows 2 1.2 0 / 0 1.6 0 / 0 0 2
    masked = torch.eye(3) * torch.tensor([[1.0], [5.0], [0.1]])  # lengths do not count
    clean = torch.tensor([[2.0, 0.0, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0, 7.0]])
    # rows: log(e^2 + e^1.2 + 1) - 2 = .46036, log(2 + e^1.6) - 1.6 = .33917, log(2 + e^2) - 2 = .23954
    # columns: log(e^2 + 2) - 2 = .23954, log(e^1.2 + e^1.6 + 1) - 1.6 = .62707, log(2 + e^2) - 2 = .23954
    assert info_nce(masked, clean, 0.5) == pytest.approx(0.357551, abs=1e-5)


def test_views_that_tell_nothing_cost_the_logarithm_of_the_batch():
    assert info_nce(torch.ones(3, 4), torch.ones(3, 4), 0.2) == pytest.approx(log(3))


def test_a_single_window_costs_nothing():
    assert info_nce(torch.randn(1, 4), torch.randn(1, 4), 0.2) == 0


def test_views_that_agree_cost_less_than_views_that_are_confused():
    views = torch.randn(8, 5)
    assert info_nce(views, views, 0.2) < info_nce(views, views.roll(1, dims=0), 0.2)


def test_a_model_without_an_embedding_is_refused():
    with pytest.raises(ValueError, match="needs a model that gives an embedding"):
        InfoNce(0.2)(BatchOutput(NOTHING, NOTHING))
