import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tsad.errors import SpecError
from tsad.tuning.space import ChoiceGene, RangeGene, Space

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


def test_a_gene_is_found_wherever_a_value_can_stand():
    assert list(SPACE.genes) == [
        "window.length",
        "model",
        "model:lstm_ae.hidden",
        "model:lstm_ae.dropout",
        "model:pca_error.components",
        "objective.mask",
        "objective.mask:geometric.ratio",
        "training.learning_rate",
    ]


def test_a_template_without_genes_has_none():
    assert Space({"seed": 3, "model": {"kind": "l2"}}).genes == {}


def test_options_without_a_kind_of_their_own_are_named_by_their_place():
    plain = {"smooth": {"choice": [{"length": {"choice": [1, 2]}}, {"kind": "a", "n": {"choice": [1]}}, {"kind": "a"}]}}
    assert list(Space(plain).genes) == ["smooth", "smooth:0.length", "smooth:1.n"]


# --- what is resolved ---


def test_genes_are_replaced_by_their_values():
    values, active = SPACE.resolve(LSTM)
    assert values == {
        "seed": 3,
        "window": {"length": 16, "stride": 2},
        "model": {"kind": "lstm_ae", "hidden": 8, "dropout": 0.25},
        "objective": {"mask": {"kind": "geometric", "ratio": 0.1}},
        "training": {"learning_rate": 0.01},
    }
    assert active == LSTM


def test_genes_of_other_options_are_dropped():
    values, active = SPACE.resolve(LSTM | {"model": 2})
    assert values["model"] == {"kind": "l2"}
    assert active == {"window.length": 1, "model": 2}


def test_a_gene_whose_condition_does_not_hold_leaves_nothing():
    values, _ = SPACE.resolve({"window.length": 0, "model": 1, "model:pca_error.components": 3})
    assert values["objective"] == {}
    assert values["training"] == {}


def test_a_condition_may_hang_on_a_gene_inside_an_option():
    hidden = {"choice": [{"kind": "lstm_ae", "layers": {"choice": [1, 2]}}, {"kind": "l2"}]}
    dropout = {"choice": [0.1], "when": {"model.layers": [2]}}
    space = Space({"model": hidden, "training": {"dropout": dropout}})
    assert "training.dropout" in space.resolve({"model": 0, "model:lstm_ae.layers": 1}, numbered(0))[1]
    assert "training.dropout" not in space.resolve({"model": 0, "model:lstm_ae.layers": 0}, numbered(0))[1]
    assert "training.dropout" not in space.resolve({"model": 1}, numbered(0))[1]


def test_an_option_with_a_condition_may_hold_genes_with_conditions():
    ratio = {"choice": [0.1, 0.2], "when": {"model.hidden": [8]}}
    mask = {"choice": [{"kind": "random", "ratio": ratio}], "when": {"model.kind": ["lstm_ae"]}}
    values, active = Space({"model": {"kind": "lstm_ae", "hidden": 8}, "mask": mask}).resolve({"mask": 0}, numbered(0))
    assert values["mask"]["ratio"] in (0.1, 0.2)
    assert set(active) == {"mask", "mask:random.ratio"}
    assert Space({"model": {"kind": "lstm_ae", "hidden": 4}, "mask": mask}).resolve({"mask": 0})[0]["mask"] == {
        "kind": "random"
    }


def test_a_condition_may_hang_on_a_gene_that_stands_later_and_has_one_of_its_own():
    length = {"choice": [8], "when": {"mask": ["geometric"]}}
    mask = {"choice": ["none", "geometric"], "when": {"model.kind": ["lstm_ae"]}}
    space = Space({"window": {"length": length}, "model": {"kind": "lstm_ae"}, "mask": mask})
    assert space.resolve({"mask": 1}, numbered(0))[0]["window"] == {"length": 8}
    assert space.resolve({"mask": 0}, numbered(0))[0]["window"] == {}


@given(seeds)
def test_nested_and_conditional_genes_exist_only_where_they_are_needed(seed):
    values, active = SPACE.resolve({}, numbered(seed))
    kind = values["model"]["kind"]
    recurrent = kind == "lstm_ae"
    assert ("model:lstm_ae.hidden" in active) == ("hidden" in values["model"]) == recurrent
    assert ("model:pca_error.components" in active) == (kind == "pca_error")
    assert ("training.learning_rate" in active) == ("learning_rate" in values["training"]) == recurrent
    masked = recurrent and values["objective"]["mask"]["kind"] == "geometric"
    assert ("objective.mask:geometric.ratio" in active) == masked


@given(seeds)
def test_given_genes_reproduce_the_same_values(seed):
    values, active = SPACE.resolve({}, numbered(seed))
    assert SPACE.resolve(active) == (values, active)


@given(seeds)
def test_only_missing_genes_are_drawn(seed):
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
    gene = RangeGene(range=(low, low + width))
    generator, value = numbered(seed), gene.draw(numbered(seed))
    for _ in range(10):
        assert low <= value <= low + width
        value = gene.mutate(value, generator)


@given(seeds, st.floats(1e-9, 1e3), st.floats(1.01, 1e6))
def test_a_drawn_or_mutated_number_lies_in_its_logarithmic_range(seed, low, factor):
    gene = RangeGene(range=(low, low * factor), log=True)
    generator, value = numbered(seed), gene.draw(numbered(seed))
    for _ in range(10):
        assert low <= value <= low * factor
        value = gene.mutate(value, generator)


@given(seeds, st.integers(-50, 50), st.integers(1, 100), st.booleans())
def test_a_range_between_whole_numbers_gives_whole_numbers(seed, low, width, log):
    assume(low > 0 or not log)
    gene = RangeGene(range=(low, low + width), log=log)
    drawn = gene.draw(numbered(seed))
    for value in (drawn, gene.mutate(drawn, numbered(seed))):
        assert isinstance(value, int)
        assert low <= value <= low + width


def test_both_ends_of_a_range_can_be_reached():
    generator = numbered(0)
    whole, real = RangeGene(range=(1, 4)), RangeGene(range=(0.1, 0.9))
    assert {whole.draw(generator) for _ in range(200)} == {1, 2, 3, 4}
    mutated = {real.mutate(0.5, generator) for _ in range(2000)}
    assert {0.1, 0.9} <= mutated


def test_whole_numbers_are_drawn_equally_often():
    generator, gene = numbered(0), RangeGene(range=(1, 3))
    drawn = Counter(gene.draw(generator) for _ in range(3000))
    assert all(900 < drawn[value] < 1100 for value in (1, 2, 3)), drawn


def test_a_logarithmic_range_spends_as_much_on_each_decade():
    generator, gene = numbered(0), RangeGene(range=(1e-4, 1e-1), log=True)
    decades = Counter(math.floor(math.log10(gene.draw(generator))) for _ in range(3000))
    assert all(900 < decades[decade] < 1100 for decade in (-4, -3, -2)), decades


def test_a_linear_range_does_not():
    generator, gene = numbered(0), RangeGene(range=(1e-4, 1e-1))
    above = [gene.draw(generator) > 1e-2 for _ in range(1000)]
    assert 0.87 < np.mean(above) < 0.93  # 0.9 of the range lies above a hundredth


def test_numbers_have_at_most_four_digits():
    generator, gene = numbered(0), RangeGene(range=(1e-4, 1e-1), log=True)
    assert all(len(f"{gene.draw(generator):e}".split("e")[0].rstrip("0")) <= 5 for _ in range(50))


# --- mutation ---


@given(seeds, st.integers(2, 6), st.data())
def test_a_mutated_choice_is_another_option(seed, count, data):
    gene, place = ChoiceGene(choice=tuple(range(count))), data.draw(st.integers(0, count - 1))
    mutated = gene.mutate(place, numbered(seed))
    assert mutated != place
    assert 0 <= mutated < count


def test_every_other_option_can_come_of_a_mutation():
    generator, gene = numbered(0), ChoiceGene(choice=("a", "b", "c", "d"))
    assert {gene.mutate(1, generator) for _ in range(100)} == {0, 2, 3}


def test_the_only_option_stays():
    assert ChoiceGene(choice=("a",)).mutate(0, numbered(0)) == 0


def test_a_mutated_number_is_another_one_nearby():
    generator, gene = numbered(0), RangeGene(range=(0.0, 100.5))
    steps = np.array([gene.mutate(50.0, generator) - 50.0 for _ in range(2000)])
    assert (steps != 0).all()
    assert abs(steps.mean()) < 2
    assert 18 < steps.std() < 21  # a fifth of the range, a little less because the ends hold it back


def test_a_mutated_logarithmic_number_moves_by_a_factor():
    generator, gene = numbered(0), RangeGene(range=(1e-4, 1e-1), log=True)
    factors = np.log10([gene.mutate(10**-2.5, generator) / 10**-2.5 for _ in range(2000)])
    assert abs(factors.mean()) < 0.05
    assert 0.53 < factors.std() < 0.63  # a fifth of three decades


# --- mistakes ---


@pytest.mark.parametrize(
    "gene",
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
def test_a_malformed_gene_is_named_by_its_address(gene):
    with pytest.raises(
        SpecError, match=r"model\.hidden: a gene must be \{choice: \[options\]\} or \{range: \[low, high\]"
    ):
        Space({"model": {"hidden": gene}})


@pytest.mark.parametrize("gene", [{"range": [5, 1]}, {"range": [1, 1]}, {"range": [0, 1], "log": True}], ids=str)
def test_a_range_that_does_not_ascend_is_refused_with_the_rule(gene):
    with pytest.raises(SpecError, match=r"training\.epochs: .*range must ascend, and start above 0 if log"):
        Space({"training": {"epochs": gene}})


def test_a_malformed_gene_inside_an_option_is_named_by_its_address():
    with pytest.raises(SpecError, match=r"model:lstm_ae\.hidden: a gene must be"):
        Space({"model": {"choice": [{"kind": "lstm_ae", "hidden": {"choice": []}}]}})


def test_a_missing_value_that_nobody_draws_is_refused():
    with pytest.raises(ValueError, match="gene model is active and must have a value"):
        SPACE.resolve({"window.length": 0})
