"""The same rows in every container that is read, written as other programs write them."""

import bz2
import datetime as dt
import gzip
import io
import json
import threading
import zipfile
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from xml.sax.saxutils import escape

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather

ROWS = 60
AT = pd.date_range("2024-03-01", periods=ROWS, freq="min")


def frame():
    """Returns rows with times, a number with all its digits, a whole number, one with an empty cell, and a label."""
    generator = np.random.default_rng(0)
    spare = generator.normal(size=ROWS)
    return pd.DataFrame(
        {
            "at": AT,
            "cpu": generator.normal(size=ROWS) * 1e3,
            "disk": np.arange(ROWS) % 7,
            "net": spare,
            "label": (np.arange(ROWS) > 55).astype(int),
        }
    )


def text(table, separator=","):
    return table.to_csv(index=False, sep=separator)


def parquet(table):
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    return buffer.getvalue()


def zipped(**members):
    """Returns an archive; the names of its members have `__` in place of a point."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "."), content)
    return buffer.getvalue()


def zstd(content):
    return pa.compress(content, "zstd", asbytes=True)


def json_lines(table):
    rows = table.astype({"at": str}).to_dict("records") if "at" in table else table.to_dict("records")
    return "".join(f"{json.dumps(row)}\n" for row in rows).encode()


def arrow(table):
    buffer = io.BytesIO()
    pyarrow.feather.write_feather(table, buffer)
    return buffer.getvalue()


def arrow_stream(table):
    buffer = io.BytesIO()
    content = pa.Table.from_pandas(table)
    with pa.ipc.new_stream(buffer, content.schema) as writer:
        writer.write_table(content, max_chunksize=7)
    return buffer.getvalue()


def npy(array, **options):
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


def npz(**arrays):
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def annotated(table):
    """Returns an export of InfluxDB: two tables of the same columns below annotations, with its own columns before them."""
    parts = []
    for number, rows in enumerate((table[:20], table[20:])):
        names = [""] * 2 + list(table.columns)
        stamped = rows.assign(at=rows["at"].dt.strftime("%Y-%m-%dT%H:%M:%SZ")) if "at" in rows else rows
        lines = [
            f"#datatype,string,long{',double' * len(table.columns)}",
            f"#group,false,false{',false' * len(table.columns)}",
            f"#default,_result,{',' * len(table.columns)}",
            ",".join(["", "result", "table", *names[2:]]),
        ]
        lines += [f",,{number},{line}" for line in stamped.to_csv(index=False, header=False).splitlines()]
        parts.append("\r\n".join(lines) + "\r\n")
    return "\r\n".join(parts).encode()


# --- workbooks ---

_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006"
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_START = '<?xml version="1.0" encoding="UTF-8"?>'


def _cell(value):
    if value is None or value == "":
        return "<c/>"
    if isinstance(value, bool):
        return f'<c t="b"><v>{value:d}</v></c>'
    if isinstance(value, dt.datetime):
        return f'<c s="1"><v>{(value - dt.datetime(1899, 12, 30)) / dt.timedelta(days=1)!r}</v></c>'
    if isinstance(value, dt.date):
        return f'<c s="2"><v>{(value - dt.date(1899, 12, 30)).days}</v></c>'
    if isinstance(value, dt.time):
        return f'<c s="3"><v>{(value.hour * 3600 + value.minute * 60 + value.second) / 86400!r}</v></c>'
    if isinstance(value, str) and value.startswith("#"):
        return f'<c t="e"><v>{value}</v></c>'
    if isinstance(value, str):
        return f'<c t="inlineStr"><is><t>{escape(value)}</t></is></c>'
    return f"<c><v>{value!r}</v></c>"


def workbook(merged=(), hidden=(), **sheets):
    """Returns a workbook (.xlsx) with rows of cells for each sheet; `merged` are ranges of the first one."""
    names = list(sheets)
    relations = [("worksheet", f"worksheets/sheet{number}.xml") for number in range(len(names))] + [
        ("styles", "styles.xml")
    ]
    content = {
        "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types"><Default Extension="xml" '
        f'ContentType="application/xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="r0" '
        f'Type="{_OFFICE}/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}/relationships"><sheets>'
        + "".join(
            f'<sheet name="{name}" sheetId="{number + 1}" r:id="r{number}" '
            f'state="{"hidden" if name in hidden else "visible"}"/>'
            for number, name in enumerate(names)
        )
        + "</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">'
        + "".join(
            f'<Relationship Id="r{number}" Type="{_OFFICE}/relationships/{kind}" Target="{target}"/>'
            for number, (kind, target) in enumerate(relations)
        )
        + "</Relationships>",
        "xl/styles.xml": f'<styleSheet xmlns="{_MAIN}"><cellXfs count="4"><xf numFmtId="0"/><xf numFmtId="22"/>'
        f'<xf numFmtId="14"/><xf numFmtId="21"/></cellXfs></styleSheet>',
    }
    for number, name in enumerate(names):
        rows = "".join(f"<row>{''.join(map(_cell, row))}</row>" for row in sheets[name])
        ranges = "".join(f'<mergeCell ref="{one}"/>' for one in merged) if number == 0 else ""
        content[f"xl/worksheets/sheet{number}.xml"] = (
            f'<worksheet xmlns="{_MAIN}"><sheetData>{rows}</sheetData>'
            + (f"<mergeCells>{ranges}</mergeCells>" if ranges else "")
            + "</worksheet>"
        )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in content.items():
            archive.writestr(name, body if name == "" else f"{_START}{body}")
    return buffer.getvalue()


def sheet(table):
    """Returns the rows of a sheet with the names above them."""
    rows = table.astype(object).to_numpy().tolist()
    return [list(table.columns)] + [
        [cell.to_pydatetime() if isinstance(cell, pd.Timestamp) else cell for cell in row] for row in rows
    ]


# --- files ---


def partitioned(path, table, key="day", values=(9, 10), empty=True):
    """Writes the rows as a folder of Parquet files, some for each value, as Spark and pandas do."""
    for value, rows in zip(values, np.array_split(np.arange(len(table)), len(values)), strict=True):
        folder = path / f"{key}={value}"
        folder.mkdir(parents=True)
        for number, part in enumerate(np.array_split(rows, 2)):
            table.iloc[part].to_parquet(folder / f"part-{number}.parquet", index=False)
    if empty:
        (path / "_SUCCESS").touch()
    return path


CONTAINERS = {
    "rows.csv": lambda table: text(table).encode(),
    "rows.CSV": lambda table: text(table).encode(),
    "rows.tsv": lambda table: text(table, "\t").encode(),
    "rows.txt": lambda table: text(table, ";").encode(),
    "rows.DAT": lambda table: text(table, "|").encode(),
    "rows.csv.gz": lambda table: gzip.compress(text(table).encode()),
    "rows.txt.GZ": lambda table: (
        gzip.compress(text(table, "\t").encode()[:900]) + gzip.compress(text(table, "\t").encode()[900:])
    ),
    "rows.gz": lambda table: gzip.compress(text(table).encode()),
    "rows.csv.bz2": lambda table: bz2.compress(text(table).encode()),
    "rows.csv.zst": lambda table: zstd(text(table).encode()),
    "rows.tsv.zip": lambda table: zipped(rows__tsv=text(table, "\t"), readme="one table", __MACOSX="x"),
    "rows.zip": lambda table: zipped(rows__parquet=parquet(table)),
    "double.zip": lambda table: zipped(rows__jsonl__gz=gzip.compress(json_lines(table))),
    "gzip_called.csv": lambda table: gzip.compress(text(table).encode()),
    "parquet_called.csv": parquet,
    "workbook_called.csv": lambda table: workbook(rows=sheet(table)),
    "rows.xlsx": lambda table: workbook(rows=sheet(table)),
    "two_sheets.XLSX": lambda table: workbook(notes=[["none"]], hidden=["notes"], rows=sheet(table)),
    "rows.jsonl": json_lines,
    "rows.ndjson.gz": lambda table: gzip.compress(json_lines(table)),
    "annotated.csv": annotated,
    "annotated.txt.gz": lambda table: gzip.compress(annotated(table)),
    "rows.parquet": parquet,
    "rows.PARQUET": parquet,
    "rows.pq.gz": lambda table: gzip.compress(parquet(table)),
    "rows.feather": arrow,
    "stream.arrow": arrow_stream,
    "columns.npz": lambda table: npz(**{name: column.to_numpy() for name, column in table.items()}),
    "records.npy": lambda table: npy(
        np.rec.fromarrays([column.to_numpy() for _, column in table.items()], names=list(table))
    ),
}
"""Content of a file with the rows of a table by the name of the file."""

COLUMNAR = {"rows.parquet", "rows.PARQUET", "rows.pq.gz", "rows.feather", "stream.arrow", "columns.npz", "records.npy"}
"""Names whose scored rows are Parquet."""


@contextmanager
def served(files, status=200, cut=None):
    """Serves contents by path on the loopback; yields the address and the paths that were asked for."""
    paths = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            path = self.path.split("?")[0]
            paths.append((self.command, path))
            content = files.get(self.path, files.get(path))
            self.send_response(404 if content is None else status)
            content = content or b""
            first, last = 0, len(content)
            if (span := self.headers.get("Range")) and status == 200:
                first, last = (int(number) for number in span.removeprefix("bytes=").split("-"))
                self._headers_buffer.clear()
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
                content = content[first : last + 1]
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Last-Modified", "Tue, 01 Jan 2030 00:00:00 GMT")
            self.send_header("ETag", '"1"')
            self.send_header("Connection", "close")
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content if cut is None else content[:cut])
            self.close_connection = True

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *words):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", paths
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
