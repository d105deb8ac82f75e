"""Settings of files that hold more than one table."""

from tsad.spec import Spec


class ContainerOptions(Spec):
    """Choice of one table in a file that holds several.

    Attributes:
        sheet: Name of the sheet of a workbook; if null, the first one that is visible. Ignored for other files.
    """

    sheet: str | None = None
