import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tsad.errors import SpecError
from tsad.tuning.space import ChoiceParam, RangeParam, Space

TEMPLATE = {
    "seed": 3,
    "window": {"length": {"choice": [8, 16]}, "stride": 2},
    "model": {
        "choice": [
            {"kind": "lstm_ae", "hidden": {"choice": [4, 8]}, "dropout": {"range": [0.0, 0.5]}},
            {"kind": "pca_error", "components": {"range": [1, 5]}},
            {"kind": "l2"},
        ]
    },
    "objective": {
        "mask": {
            "choice": [{"kind": "none"}, {"kind": "geometric", "ratio": {"range": [0.05, 0.4]}}],
            "when": {"model.kind": ["lstm_ae"]},
        }
    },
    "training": {"learning_rate": {"range": [1e-4, 1e-1], "log": True, "when": {"model.kind": ["lstm_ae"]}}},
}
SPACE = Space(TEMPLATE)

LSTM = {
    "window.length": 1,
    "model": 0,
    "model:lstm_ae.hidden": 1,
    "model:lstm_ae.dropout": 0.25,
    "objective.mask": 1,
    "objective.mask:geometric.ratio": 0.1,
    "training.learning_rate": 0.01,
}

seeds = st.integers(0, 10_000)


def numbered(seed):
    return np.random.default_rng(seed)


# --- what is found ---


def test_a_param_is_found_wherever_a_value_can_stand():
    assert list(SPACE.params) == [
        "window.length",
        "model",
        "model:lstm_ae.hidden",
        "model:lstm_ae.dropout",
        "model:pca_error.components",
        "objective.mask",
        "objective.mask:geometric.ratio",
        "training.learning_rate",
    ]


def test_a_template_without_params_has_none():
    assert Space({"seed": 3, "model": {"kind": "l2"}}).params == {}


def test_options_without_a_kind_of_their_own_are_named_by_their_place():
    plain = {"smooth": {"choice": [{"length": {"choice": [1, 2]}}, {"kind": "a", "n": {"choice": [1]}}, {"kind": "a"}]}}
    assert list(Space(plain).params) == ["smooth", "smooth:0.length", "smooth:1.n"]


# --- what is resolved ---


def test_params_are_replaced_by_their_values():
    values, active = SPACE.resolve(LSTM)
    assert values == {
        "seed": 3,
        "window": {"length": 16, "stride": 2},
        "model": {"kind": "lstm_ae", "hidden": 8, "dropout": 0.25},
        "objective": {"mask": {"kind": "geometric", "ratio": 0.1}},
        "training": {"learning_rate": 0.01},
    }
    assert active == LSTM


def test_params_of_other_options_are_dropped():
    values, active = SPACE.resolve(LSTM | {"model": 2})
    assert values["model"] == {"kind": "l2"}
    assert active == {"window.length": 1, "model": 2}


def test_a_param_whose_condition_does_not_hold_leaves_nothing():
    values, _ = SPACE.resolve({"window.length": 0, "model": 1, "model:pca_error.components": 3})
    assert values["objective"] == {}
    assert values["training"] == {}


def test_a_condition_may_hang_on_a_param_inside_an_option():
    hidden = {"choice": [{"kind": "lstm_ae", "layers": {"choice": [1, 2]}}, {"kind": "l2"}]}
    dropout = {"choice": [0.1], "when": {"model.layers": [2]}}
    space = Space({"model": hidden, "training": {"dropout": dropout}})
    assert "training.dropout" in space.resolve({"model": 0, "model:lstm_ae.layers": 1}, numbered(0))[1]
    assert "training.dropout" not in space.resolve({"model": 0, "model:lstm_ae.layers": 0}, numbered(0))[1]
    assert "training.dropout" not in space.resolve({"model": 1}, numbered(0))[1]


def test_an_option_with_a_condition_may_hold_params_with_conditions():
    ratio = {"choice": [0.1, 0.2], "when": {"model.hidden": [8]}}
    mask = {"choice": [{"kind": "random", "ratio": ratio}], "when": {"model.kind": ["lstm_ae"]}}
    values, active = Space({"model": {"kind": "lstm_ae", "hidden": 8}, "mask": mask}).resolve({"mask": 0}, numbered(0))
    assert values["mask"]["ratio"] in (0.1, 0.2)
    assert set(active) == {"mask", "mask:random.ratio"}
    assert Space({"model": {"kind": "lstm_ae", "hidden": 4}, "mask": mask}).resolve({"mask": 0})[0]["mask"] == {
        "kind": "random"
    }


def test_a_condition_may_hang_on_a_param_that_stands_later_and_has_one_of_its_own():
    length = {"choice": [8], "when": {"mask": ["geometric"]}}
    mask = {"choice": ["none", "geometric"], "when": {"model.kind": ["lstm_ae"]}}
    space = Space({"window": {"length": length}, "model": {"kind": "lstm_ae"}, "mask": mask})
    assert space.resolve({"mask": 1}, numbered(0))[0]["window"] == {"length": 8}
    assert space.resolve({"mask": 0}, numbered(0))[0]["window"] == {}


@given(seeds)
def test_nested_and_conditional_params_exist_only_where_they_are_needed(seed):
    values, active = SPACE.resolve({}, numbered(seed))
    kind = values["model"]["kind"]
    recurrent = kind == "lstm_ae"
    assert ("model:lstm_ae.hidden" in active) == ("hidden" in values["model"]) == recurrent
    assert ("model:pca_error.components" in active) == (kind == "pca_error")
    assert ("training.learning_rate" in active) == ("learning_rate" in values["training"]) == recurrent
    masked = recurrent and values["objective"]["mask"]["kind"] == "geometric"
    assert ("objective.mask:geometric.ratio" in active) == masked


@given(seeds)
def test_given_params_reproduce_the_same_values(seed):
    values, active = SPACE.resolve({}, numbered(seed))
    assert SPACE.resolve(active) == (values, active)


@given(seeds)
def test_only_missing_params_are_drawn(seed):
    values, active = SPACE.resolve({"model": 1, "window.length": 0}, numbered(seed))
    assert values["model"]["kind"] == "pca_error"
    assert values["window"]["length"] == 8
    assert active["model:pca_error.components"] == values["model"]["components"]


def test_resolving_leaves_the_template_as_it_was():
    template = {"model": {"choice": [{"kind": "l2"}]}, "training": {"rate": {"choice": [1], "when": {"seed": [3]}}}}
    space = Space(template)
    first, _ = space.resolve({}, numbered(0))
    first["model"]["kind"] = "changed"
    assert space.resolve({}, numbered(0))[0]["model"] == {"kind": "l2"}
    assert template["training"] == {"rate": {"choice": [1], "when": {"seed": [3]}}}


def test_every_option_is_drawn_equally_often():
    generator = numbered(0)
    drawn = Counter(SPACE.resolve({}, generator)[0]["model"]["kind"] for _ in range(3000))
    assert drawn.keys() == {"lstm_ae", "pca_error", "l2"}
    assert all(900 < count < 1100 for count in drawn.values())


# --- ranges ---


@given(seeds, st.floats(-1e3, 1e3), st.floats(1e-3, 1e3))
def test_a_drawn_or_mutated_number_lies_in_its_range(seed, low, width):
    param = RangeParam(range=(low, low + width))
    generator, value = numbered(seed), param.draw(numbered(seed))
    for _ in range(10):
        assert low <= value <= low + width
        value = param.mutate(value, generator)


@given(seeds, st.floats(1e-9, 1e3), st.floats(1.01, 1e6))
def test_a_drawn_or_mutated_number_lies_in_its_logarithmic_range(seed, low, factor):
    param = RangeParam(range=(low, low * factor), log=True)
    generator, value = numbered(seed), param.draw(numbered(seed))
    for _ in range(10):
        assert low <= value <= low * factor
        value = param.mutate(value, generator)


@given(seeds, st.integers(-50, 50), st.integers(1, 100), st.booleans())
def test_a_range_between_whole_numbers_gives_whole_numbers(seed, low, width, log):
    assume(low > 0 or not log)
    param = RangeParam(range=(low, low + width), log=log)
    drawn = param.draw(numbered(seed))
    for value in (drawn, param.mutate(drawn, numbered(seed))):
        assert isinstance(value, int)
        assert low <= value <= low + width


def test_both_ends_of_a_range_can_be_reached():
    generator = numbered(0)
    whole, real = RangeParam(range=(1, 4)), RangeParam(range=(0.1, 0.9))
    assert {whole.draw(generator) for _ in range(200)} == {1, 2, 3, 4}
    mutated = {real.mutate(0.5, generator) for _ in range(2000)}
    assert {0.1, 0.9} <= mutated


def test_whole_numbers_are_drawn_equally_often():
    generator, param = numbered(0), RangeParam(range=(1, 3))
    drawn = Counter(param.draw(generator) for _ in range(3000))
    assert all(900 < drawn[value] < 1100 for value in (1, 2, 3)), drawn


def test_a_logarithmic_range_spends_as_much_on_each_decade():
    generator, param = numbered(0), RangeParam(range=(1e-4, 1e-1), log=True)
    decades = Counter(math.floor(math.log10(param.draw(generator))) for _ in range(3000))
    assert all(900 < decades[decade] < 1100 for decade in (-4, -3, -2)), decades


def test_a_linear_range_does_not():
    generator, param = numbered(0), RangeParam(range=(1e-4, 1e-1))
    above = [param.draw(generator) > 1e-2 for _ in range(1000)]
    assert 0.87 < np.mean(above) < 0.93  # 0.9 of the range lies above a hundredth


def test_numbers_have_at_most_four_digits():
    generator, param = numbered(0), RangeParam(range=(1e-4, 1e-1), log=True)
    assert all(len(f"{param.draw(generator):e}".split("e")[0].rstrip("0")) <= 5 for _ in range(50))


# --- mutation ---


@given(seeds, st.integers(2, 6), st.data())
def test_a_mutated_choice_is_another_option(seed, count, data):
    param, place = ChoiceParam(choice=tuple(range(count))), data.draw(st.integers(0, count - 1))
    mutated = param.mutate(place, numbered(seed))
    assert mutated != place
    assert 0 <= mutated < count


def test_every_other_option_can_come_of_a_mutation():
    generator, param = numbered(0), ChoiceParam(choice=("a", "b", "c", "d"))
    assert {param.mutate(1, generator) for _ in range(100)} == {0, 2, 3}


def test_the_only_option_stays():
    assert ChoiceParam(choice=("a",)).mutate(0, numbered(0)) == 0


def test_a_mutated_number_is_another_one_nearby():
    generator, param = numbered(0), RangeParam(range=(0.0, 100.5))
    steps = np.array([param.mutate(50.0, generator) - 50.0 for _ in range(2000)])
    assert (steps != 0).all()
    assert abs(steps.mean()) < 2
    assert 18 < steps.std() < 21  # a fifth of the range, a little less because the ends hold it back


def test_a_mutated_logarithmic_number_moves_by_a_factor():
    generator, param = numbered(0), RangeParam(range=(1e-4, 1e-1), log=True)
    factors = np.log10([param.mutate(10**-2.5, generator) / 10**-2.5 for _ in range(2000)])
    assert abs(factors.mean()) < 0.05
    assert 0.53 < factors.std() < 0.63  # a fifth of three decades


# --- mistakes ---


@pytest.mark.parametrize(
    "param",
    [
        {"choice": []},
        {"choice": [1], "range": [1, 2]},
        {"choice": [1], "color": "red"},
        {"choice": 5},
        {"range": [1, 2, 3]},
        {"range": ["a", "b"]},
        {"range": [1, 2], "log": "yes"},
        {"choice": [1], "when": ["model.kind"]},
    ],
    ids=str,
)
def test_a_malformed_param_is_named_by_its_address(param):
    with pytest.raises(
        SpecError, match=r"model\.hidden: a hyperparameter must be \{choice: \[options\]\} or \{range: \[low, high\]"
    ):
        Space({"model": {"hidden": param}})


@pytest.mark.parametrize("param", [{"range": [5, 1]}, {"range": [1, 1]}, {"range": [0, 1], "log": True}], ids=str)
def test_a_range_that_does_not_ascend_is_refused_with_the_rule(param):
    with pytest.raises(SpecError, match=r"training\.epochs: .*range must ascend, and start above 0 if log"):
        Space({"training": {"epochs": param}})


def test_a_malformed_param_inside_an_option_is_named_by_its_address():
    with pytest.raises(SpecError, match=r"model:lstm_ae\.hidden: a hyperparameter must be"):
        Space({"model": {"choice": [{"kind": "lstm_ae", "hidden": {"choice": []}}]}})


def test_a_missing_value_that_nobody_draws_is_refused():
    with pytest.raises(ValueError, match="hyperparameter model is active and must have a value"):
        SPACE.resolve({"window.length": 0})
