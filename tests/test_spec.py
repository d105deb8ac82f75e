from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from tsad.config import ExperimentConfig
from tsad.errors import SpecError
from tsad.spec import Spec, flatten, parse, parse_overrides, put, read_yaml, write_yaml


class Circle(Spec):
    kind: Literal["circle"]
    radius: float = Field(1.0, gt=0)


class Square(Spec):
    kind: Literal["square"]
    side: int = Field(2, ge=1)


class Picture(Spec):
    title: str = "untitled"
    copies: int = Field(1, ge=1)
    framed: bool = False
    shape: Annotated[Circle | Square, Field(discriminator="kind")] = Circle(kind="circle")
    colors: tuple[str, ...] = ()
    parts: tuple[Circle, ...] = ()


def test_every_mistake_is_named_by_path_and_value_at_once():
    wrong = {"copies": 0, "framed": "yes", "color": "red"}
    with pytest.raises(SpecError) as caught:
        parse(Picture, wrong, "picture.yaml")
    message = str(caught.value)
    assert message.startswith("picture.yaml: ")
    assert "copies: input should be greater than or equal to 1, but got 0" in message
    assert "framed: input should be a valid boolean, but got 'yes'" in message
    assert "color: extra inputs are not permitted, but got 'red'" in message


def test_a_mistake_inside_a_union_is_named_by_the_path_that_an_override_would_take():
    with pytest.raises(SpecError, match=r"picture.yaml: shape\.side: .*but got 0$"):
        parse(Picture, {"shape": {"kind": "square", "side": 0}}, "picture.yaml")


def test_a_mistake_inside_a_list_is_named_by_its_place():
    with pytest.raises(SpecError, match=r"parts\.1\.radius: .*but got -1"):
        parse(Picture, {"parts": [{"kind": "circle"}, {"kind": "circle", "radius": -1}]}, "picture.yaml")


def test_an_unknown_kind_is_answered_with_the_known_ones():
    with pytest.raises(SpecError, match=r"shape: .*'ring'.*'circle', 'square'"):
        parse(Picture, {"shape": {"kind": "ring"}}, "picture.yaml")


@pytest.mark.parametrize(
    ("field", "value"),
    [("copies", "3"), ("copies", True), ("copies", 3.5), ("framed", 1), ("framed", "true"), ("title", 7)],
)
def test_nothing_is_converted(field, value):
    with pytest.raises(SpecError, match=f"{field}: .*but got {value!r}"):
        parse(Picture, {field: value}, "picture.yaml")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "1.0", True])
def test_a_number_is_finite_and_a_number(value):
    with pytest.raises(SpecError, match=r"shape.*radius: "):
        parse(Picture, {"shape": {"kind": "circle", "radius": value}}, "picture.yaml")


def test_a_whole_number_is_welcome_where_a_fraction_may_stand():
    assert parse(Picture, {"shape": {"kind": "circle", "radius": 3}}, "picture.yaml").shape.radius == 3.0


def test_a_value_that_json_does_not_know_is_refused():
    with pytest.raises(SpecError, match=r"picture.yaml: only text, numbers, lists and mappings .* date"):
        parse(Picture, {"title": date(2020, 1, 1)}, "picture.yaml")


def test_a_long_value_is_shortened_in_the_message():
    with pytest.raises(SpecError) as caught:
        parse(Picture, {"copies": "x" * 500}, "picture.yaml")
    assert len(str(caught.value)) < 200


def test_a_spec_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        Picture().copies = 2


# --- YAML ---


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-4", 1e-4), ("1.0e-4", 1e-4), ("-2E3", -2000.0), (".5e1", 5.0), ("3", 3), ("1-2", "1-2"), ("e4", "e4")],
)
def test_yaml_numbers_are_read_as_everybody_means_them(tmp_path, text, value):
    path = tmp_path / "numbers.yaml"
    path.write_text(f"value: {text}\n")
    found = read_yaml(path)["value"]
    assert found == value
    assert type(found) is type(value)


def test_a_written_spec_reads_back_equal_under_its_heading(tmp_path):
    path = tmp_path / "picture.yaml"
    picture = Picture(
        title="a: b # c",
        shape=Square(kind="square", side=5),
        colors=("red", "no", "1-2"),
        parts=(Circle(kind="circle", radius=1e-5),),
    )
    write_yaml(path, picture, "tsad show picture.yaml")
    assert path.read_text().splitlines()[0] == "# tsad show picture.yaml"
    assert parse(Picture, read_yaml(path), "picture.yaml") == picture


@pytest.mark.parametrize(
    "title", ["1e5", "1e-4", "0x1f", "1_000", "12", "1.5", ".inf", "yes", "null", "~", "2020-01-01", "1:30", ""]
)
def test_a_text_that_looks_like_something_else_survives_the_file(tmp_path, title):
    write_yaml(tmp_path / "picture.yaml", Picture(title=title), "heading")
    assert parse(Picture, read_yaml(tmp_path / "picture.yaml"), "picture.yaml").title == title


@given(
    title=st.text(st.characters(exclude_categories=("Cs",)), max_size=8),
    radius=st.floats(min_value=1e-300, max_value=1e300),
)
def test_any_text_and_any_number_survive_the_file(tmp_path_factory, title, radius):
    path = tmp_path_factory.mktemp("yaml") / "picture.yaml"
    picture = Picture(title=title, shape=Circle(kind="circle", radius=radius))
    write_yaml(path, picture, "heading")
    assert parse(Picture, read_yaml(path), "picture.yaml") == picture


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"- 1\n- 2\n", "must hold a mapping of names to values, but holds list"),
        (b"a: [1", "not YAML"),
        (b"\xff", "not YAML"),
    ],
)
def test_a_file_that_holds_no_mapping_is_refused(tmp_path, content, message):
    path = tmp_path / "wrong.yaml"
    path.write_bytes(content)
    with pytest.raises(SpecError, match=rf"wrong\.yaml: {message}"):
        read_yaml(path)


def test_a_missing_file_is_named():
    with pytest.raises(SpecError, match=r"absent\.yaml: cannot be read \(No such file or directory\)"):
        read_yaml(Path("absent.yaml"))


def test_yaml_builds_no_objects(tmp_path):
    path = tmp_path / "evil.yaml"
    path.write_text("title: !!python/object/apply:os.getcwd []\n")
    with pytest.raises(SpecError, match="not YAML"):
        read_yaml(path)


# --- overrides ---


def test_overrides_are_read_as_yaml():
    found = parse_overrides(["a.b=1e-4", "c=[1, 2]", " d =true", "e=x=y", "f="])
    assert found == {"a.b": 1e-4, "c": [1, 2], "d": True, "e": "x=y", "f": None}


@pytest.mark.parametrize("text", ["a.b", "=3", " =3"])
def test_an_override_without_path_or_value_is_refused(text):
    with pytest.raises(SpecError, match=f"an override must read path=value, but got {text!r}"):
        parse_overrides([text])


def test_an_override_that_is_no_yaml_is_refused():
    with pytest.raises(SpecError, match=r"must be YAML, but got 'a=\[1'"):
        parse_overrides(["a=[1"])


# --- put ---

VALUES: dict[str, Any] = {
    "model": {"kind": "lstm", "hidden": 8, "head": {"size": 2}},
    "terms": [{"kind": "mse", "weight": 1.0}, {"kind": "nce", "weight": 0.1}],
}


def test_put_reaches_nested_sections_and_list_places():
    changed = put(VALUES, {"model.head.size": 3, "terms.1.weight": 0.5})
    assert changed["model"] == {"kind": "lstm", "hidden": 8, "head": {"size": 3}}
    assert changed["terms"] == [{"kind": "mse", "weight": 1.0}, {"kind": "nce", "weight": 0.5}]


def test_put_makes_the_sections_that_are_not_there():
    assert put({}, {"a.b.c": 1, "a.d": 2}) == {"a": {"b": {"c": 1}, "d": 2}}


def test_a_new_kind_replaces_its_whole_section():
    assert put(VALUES, {"model.kind": "tcn"})["model"] == {"kind": "tcn"}


def test_the_same_kind_keeps_its_section():
    assert put(VALUES, {"model.kind": "lstm", "model.hidden": 4})["model"] == VALUES["model"] | {"hidden": 4}


def test_a_new_kind_takes_the_other_changes_of_its_section_in_whatever_order_they_come():
    changes = {"model.channels": 16, "model.kind": "tcn", "model.head.size": 1}
    expected = {"kind": "tcn", "channels": 16, "head": {"size": 1}}
    assert put(VALUES, changes)["model"] == expected
    assert put(VALUES, dict(reversed(changes.items())))["model"] == expected


def test_a_new_kind_replaces_its_section_inside_a_list():
    assert put(VALUES, {"terms.1.kind": "gan"})["terms"] == [{"kind": "mse", "weight": 1.0}, {"kind": "gan"}]


def test_put_leaves_the_original_untouched():
    before = repr(VALUES)
    put(VALUES, {"model.kind": "tcn", "model.head.size": 9, "terms.0.weight": 3.0})
    assert repr(VALUES) == before


def test_put_leaves_the_changes_untouched():
    section = {"kind": "tcn"}
    put(VALUES, {"model": section, "model.channels": 16})
    assert section == {"kind": "tcn"}


def test_put_leaves_the_changes_apart_from_its_result():
    section = {"kind": "tcn"}
    put(VALUES, {"model": section})["model"]["channels"] = 16
    assert section == {"kind": "tcn"}


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("model.hidden.size", r"model\.hidden\.size: model\.hidden is 8, not a section"),
        ("terms.2.weight", r"terms\.2\.weight: a list of 2 takes a place from 0 to 1, but got '2'"),
        ("terms.first", r"terms\.first: a list of 2 takes a place from 0 to 1, but got 'first'"),
    ],
)
def test_put_names_the_place_that_is_not_there(path, message):
    with pytest.raises(SpecError, match=message):
        put(VALUES, {path: 1})


# --- flatten ---


def test_flatten_names_every_leaf_by_its_path():
    assert flatten(VALUES | {"seed": 1, "sizes": [1, 2], "none": []}) == {
        "model.kind": "lstm",
        "model.hidden": 8,
        "model.head.size": 2,
        "terms.0.kind": "mse",
        "terms.0.weight": 1.0,
        "terms.1.kind": "nce",
        "terms.1.weight": 0.1,
        "seed": 1,
        "sizes": [1, 2],
        "none": [],
    }


def test_putting_the_leaves_back_changes_nothing():
    assert put(VALUES, flatten(VALUES)) == VALUES


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"scoring": {"misfit": "absolute"}}, r"scoring\.misfit: is called 'error' now"),
        ({"scoring": {"baseline": {"kind": "none"}}}, r"scoring\.baseline: is called 'normalization' now"),
        (
            {"scoring": {"normalization": {"kind": "median", "length": 5}}},
            r"scoring\.normalization: kind 'median' is called 'rolling_median' now",
        ),
        ({"model": {"kind": "nearest_neighbour"}}, r"model: kind 'nearest_neighbour' is called 'nearest_neighbor' now"),
    ],
)
def test_an_old_name_is_refused_with_the_new_one(values, message):
    experiment = {"data": {"kind": "synthetic"}, "window": {"length": 4}, "model": {"kind": "l2"}}
    with pytest.raises(SpecError, match=message):
        parse(ExperimentConfig, experiment | values, "experiment")
