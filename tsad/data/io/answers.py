"""Columns of answers: labels, anomaly types and scores, which as features would reveal what is to be learned."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from tsad.data.io.cells import numbers
from tsad.data.io.issues import Issues
from tsad.errors import shown


def word_set(text: str) -> frozenset[str]:
    """Returns the words of a text."""
    return frozenset(text.split())


_ANSWER_TOKENS = word_set(
    "label labels labeled anomaly anomalies anomalous abnormal normal outlier outliers attack attacks fault "
    "faults faulty failure failures class target event events changepoint changepoints incident incidents "
    "annotation annotations truth gt groundtruth intrusion defect malicious novelty pass fail healthy anomalie "
    "anomalien alarm alarms störung stoerung fehler ausfall panne falla anomalía anomalia"
)
_NORMAL_WORDS = ("normal", "benign", "ok", "good", "healthy", "regular", "none", "no", "nominal", "-", "clean", "pass")
_INVERTED = {"normal", "healthy", "ok", "good", "pass"}
"""Words in the name of a column whose true cells are normal rows."""
_USUAL = 0.7
"""Fraction of the rows that are of the most frequent class, at least, if a column of more than two whole numbers is a label."""
_FEW = 12
"""Distinct cells of a column of labels, at most."""


def tokens(name: str) -> set[str]:
    """Returns the words of a name in small letters, such as value and 0 of `value-0`, is and anomaly of `isAnomaly`."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return {word.lower() for word in re.split(r"[\W_]+", spaced) if word}


def is_answer(name: str, column: "pd.Series[Any]") -> bool:
    """Returns whether a column holds labels, or anomaly scores, judged by its name and by how few distinct cells it has."""
    words = tokens(name)
    if not words & _ANSWER_TOKENS:
        return False
    if words & {"score", "scores"}:
        return True
    cells = column.dropna()
    counts = cells.value_counts()
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        values = numbers(cells)[0]
        rare = len(counts) <= 2 or counts.iloc[0] >= _USUAL * len(cells)  # most rows are of one class
        return 0 < len(counts) <= _FEW and rare and bool((values == np.round(values)).all())
    return 0 < len(counts) <= max(_FEW, 0.05 * len(cells))


def judge_answers(table: pd.DataFrame, answers: Sequence[str], label: str | None, issues: Issues) -> None:
    """Adds an issue about columns of answers: one of them is proposed as the label unless one is set, the others are ignored."""
    if not answers:
        return
    reveal = "as a feature it would reveal the answer"
    labels = [] if label is not None else sorted(answers, key=_label_rank)
    chosen = labels[0] if labels and _label_rank(labels[0])[0] < 2 else None
    if chosen is not None:
        issues.add(
            f"column {chosen!r} holds {shown(frequent_cells(table[chosen])[:5])} and is called like a label; {reveal}",
            {"label": chosen, **label_fix(table[chosen])},
            "name the features in data.features",
        )
    others = [name for name in answers if name != chosen]
    if others:
        beside = label or chosen
        issues.add(
            f"columns {others} are called like answers{f' beside the label {beside!r}' if beside else ''}; as features they "
            f"would reveal it",
            {"ignore": others},
            "name the features in data.features",
        )


def _label_rank(name: str) -> tuple[int, int]:
    """Returns how well a column serves as the label, low is well: 2 for scores, which are no labels."""
    words = tokens(name)
    if words & {"score", "scores"}:
        return 2, 0
    order = ("label", "labels", "anomaly", "is", "attack", "outlier", "fault", "normal", "class", "event")
    first = next((rank for rank, word in enumerate(order) if word in words), len(order))
    return int(bool(words & {"changepoint", "changepoints", "type", "kind", "category"})), first


def frequent_cells(column: "pd.Series[Any]") -> list[Any]:
    """Returns the distinct cells of a column, the most frequent first."""
    values: list[Any] = column.dropna().value_counts().index.tolist()
    return values


def label_fix(column: "pd.Series[Any]") -> Mapping[str, Any]:
    """Returns the setting `normal` that a column of labels needs; nothing if it holds 0 and 1, or false and true.

    Normal is 0 where it occurs; false, but true where the column is called normal or healthy; a word for normal; or the most
    frequent cell.
    """
    cells = column.dropna()
    words = [text_of(value) for value in frequent_cells(column)]
    if pd.api.types.is_numeric_dtype(column) or set(words) <= {"True", "False"}:
        if len(words) > _FEW:
            return {}
        names = tokens(str(column.name))
        if names & _INVERTED and not names & (_ANSWER_TOKENS - _INVERTED) and not names & {"not", "no", "un"}:
            return {"normal": "True" if "True" in words else "1"} if set(words) != {"-1", "1"} else {"normal": words[0]}
        if set(words) <= {"0", "1"} or set(words) <= {"True", "False"}:
            return {}
        return {"normal": "0" if "0" in words else words[0]}
    spelled = next((word for name in _NORMAL_WORDS for word in words if word.strip().lower() == name), None)
    return {"normal": spelled or str(cells.astype("str").mode()[0])}


def text_of(value: Any) -> str:
    """Returns a cell as text, a whole number without a point."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
