"""Columns of status words as numbers: ordered, or one column for each word."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import pandas as pd
from pydantic import Field

from tsad.data.io.answers import text_of
from tsad.data.io.issues import Issues
from tsad.errors import shown
from tsad.spec import Spec

States = Literal["one_hot"] | Annotated[tuple[str, ...], Field(min_length=2)]
"""Rule by which words become numbers: their positions in a list, or one column of 0 and 1 for each."""


class StateOptions(Spec):
    """Columns of words that are features.

    Attributes:
        states: By name of a column, the list of its words in order, which become 0, 1, 2, ..., such as `[low, high]`; or
            `one_hot` for a column `NAME=WORD` of 0 and 1 for each word of the training rows. A word that is not in the list is
            an error; one that the training rows do not have is 0 in all columns.
    """

    states: dict[str, States] = Field(default_factory=dict)


def with_states(
    table: pd.DataFrame, options: StateOptions, issues: Issues, features: Sequence[str] = ()
) -> pd.DataFrame:
    """Returns the table with numbers in place of status words.

    Args:
        table: Columns of a file.
        options: How words become numbers.
        issues: Receives an issue for words that are not in the list.
        features: Names of the features of a detector, which say the words of one-hot columns; those of the table without them.
    """
    if not options.states:
        return table
    columns: dict[str, pd.Series[float]] = {}
    for name, column in table.items():
        states = options.states.get(str(name))
        if states is None:
            columns[str(name)] = column
            continue
        words = column.map(text_of, na_action="ignore").astype("str").str.strip().where(column.notna())
        if states == "one_hot":
            learned = [feature.removeprefix(f"{name}=") for feature in features if feature.startswith(f"{name}=")]
            for word in learned or sorted(words.dropna().unique()):
                columns[f"{name}={word}"] = (words == word).astype(float).where(words.notna())
            continue
        columns[str(name)] = words.map({word: float(rank) for rank, word in enumerate(states)})
        unknown = words[columns[str(name)].isna() & words.notna()]
        if len(unknown):
            issues.add(
                f"column {name!r} has {len(unknown)} cells that are none of its states {list(states)}, first at row "
                f"{unknown.index[0]} ({shown(unknown.iloc[0])})",
                advice="add them to data.states, or make them empty by data.empty",
            )
    absent = [name for name in options.states if name not in table.columns]
    if absent:
        issues.fail(
            f"has no column {absent[0]!r} of data.states; it has {shown(list(table.columns), 400)}", advice="name one"
        )
    return pd.DataFrame(columns, index=table.index)


def state_columns(features: Sequence[str], states: Mapping[str, States]) -> list[str]:
    """Returns the column of the file that each feature is computed from."""
    one_hot = [name for name, rule in states.items() if rule == "one_hot"]
    return [next((name for name in one_hot if feature.startswith(f"{name}=")), feature) for feature in features]
