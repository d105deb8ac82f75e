"""A server of files that behaves in the ways that servers differ in."""

import http.server
import os
import threading

import pytest

CONTENT = os.urandom(3_000_000)


class Server(http.server.BaseHTTPRequestHandler):
    """Gives out `content`, in the ways that servers differ in."""

    content, version, ranges, cut, status, length = CONTENT, '"one"', True, 0, 200, True

    def do_GET(self):
        kind = type(self)
        kind.asked.append(self.headers["Range"])
        if kind.status != 200:
            self.send_error(kind.status)
            return
        first = 0
        if kind.ranges and self.headers["Range"] and self.headers["If-Range"] == kind.version:
            first = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
        if first >= len(kind.content) and first:
            self.send_error(416)
            return
        rest = kind.content[first:]
        self.send_response(206 if first else 200)
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(kind.content) - 1}/{len(kind.content)}")
        if kind.length:
            self.send_header("Content-Length", str(len(rest)))
        if kind.version:
            self.send_header("ETag", kind.version)
        self.end_headers()
        sent = rest[: kind.cut] if kind.cut else rest
        kind.sent.append(len(sent))  # first: who has the last byte may look before this thread goes on
        self.wfile.write(sent)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    """The class of a running server, to be told how it behaves, with its address as `url`."""
    kind = type("Told", (Server,), {"asked": [], "sent": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind) as running:
        kind.url = f"http://127.0.0.1:{running.server_port}/archive.zip"
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield kind
        running.shutdown()
        thread.join()
