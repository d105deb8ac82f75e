"""Settings of a fix as they are typed: what is printed is read back as it was."""

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsad.config import ExperimentConfig
from tsad.data.io.issues import assignments
from tsad.spec import parse_overrides

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12)


def read_back(settings):
    words = shlex.split(assignments(settings))
    assert words[::2] == ["--set"] * len(settings)
    return parse_overrides(words[1::2], ExperimentConfig)


@given(text=TEXTS, texts=st.lists(TEXTS, max_size=3))
def test_any_text_comes_back(text, texts):
    settings = {"normal": text, "ignore": texts, "time": [text], "label": text}
    assert read_back(settings) == {f"data.{name}": value for name, value in settings.items()}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"time_format": "%d/%m/%Y %H.%M.%S"}, "--set 'data.time_format=%d/%m/%Y %H.%M.%S'"),
        ({"normal": "1", "decimal": ","}, "--set data.normal=1 --set data.decimal=,"),
        ({"separator": "\t"}, "--set 'data.separator=\"\\t\"'"),
        ({"thousands": " "}, "--set 'data.thousands=\" \"'"),
        ({"pivot": {"name": "a b", "value": "1"}}, "--set 'data.pivot={name: a b, value: '\"'\"'1'\"'\"'}'"),
        (
            {"header": False, "skip": 2, "time_zone": None},
            "--set data.header=false --set data.skip=2 --set data.time_zone=null",
        ),
    ],
)
def test_settings_are_typed_as_a_person_would(settings, words):
    assert assignments(settings) == words
    assert read_back(settings) == {f"data.{name}": value for name, value in settings.items()}
