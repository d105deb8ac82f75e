"""Files in the layout of CIC-DDoS2019, small enough to work out by hand."""

from tsad.data.sets.flows import NUMERIC

COLUMNS = (
    *(
        "Unnamed: 0",
        "Flow ID",
        " Source IP",
        " Source Port",
        " Destination IP",
        " Destination Port",
        " Protocol",
        " Timestamp",
    ),
    *(name if place % 3 == 0 else f" {name}" for place, name in enumerate(NUMERIC) if name != "Inbound"),
    *(" Fwd Header Length.1", "SimillarHTTP", " Inbound", " Label"),
)
"""The 88 names with spaces as irregular as those of the published files."""


def flow(second, label="BENIGN", **cells):
    """Returns the cells of one flow by column name; those not given are 0."""
    values = {name.strip(): "0" for name in COLUMNS} | {
        "Flow ID": "a-b-1-2-6",
        "Source IP": "10.0.0.1",
        "Source Port": "1000",
        "Destination IP": "10.0.0.2",
        "Destination Port": "80",
        "Protocol": "6",
        "Timestamp": f"2018-12-01 10:{int(second) // 60:02d}:{second % 60:09.6f}",
        "SimillarHTTP": "http://www.example.org/",
        "Label": label,
    }
    return values | {name.replace("__", " "): str(value) for name, value in cells.items()}


def text(flows):
    """Returns the content of a file."""
    rows = [COLUMNS, *([each[name.strip()] for name in COLUMNS] for each in flows)]
    return "".join(",".join(row) + "\n" for row in rows)


def write(folder, flows, name="DrDoS_DNS.csv"):
    """Writes a file of the set below `folder`, and returns its path."""
    path = folder / "cicddos2019" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text(flows))
    return path
