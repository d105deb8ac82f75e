"""Errors that a user can mend: each states the rule, then the values, then the way out."""


class TsadError(Exception):
    """Anything that is wrong with what the user gave; the command line prints it in one line and exits with 1."""


class SpecError(TsadError):
    """An experiment, a search space or an override that does not describe anything we can build."""


class UsageError(SpecError):
    """Options contradict each other, or an option does not belong there."""


class DataError(TsadError):
    """A file, a table or an array that cannot be read as the series it should be."""


class DetectorError(TsadError):
    """A saved detector that is damaged, foreign, or asked for something it cannot do."""


class TrainingError(TsadError):
    """A training that cannot go on."""


def shown(cell: object, length: int = 80) -> str:
    """Returns a value as it stands in an error: plain (`nan`, not `np.float64(nan)`), and cut if it is long."""
    plain = getattr(cell, "tolist", None)
    text = repr(plain() if callable(plain) else cell)
    return text if len(text) <= length else text[: length - 3] + "..."
