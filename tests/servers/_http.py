"""HTTP by the standard library: requests are read off connections, replies are put on them, as far as a fault lets them."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any, Protocol

from tests.servers.faults import Fault
from tests.servers.wire import Refused

LARGEST = 64 * 2**20  # bytes of a request
PIECES = 20  # that a dripping body is sent in


@dataclass(frozen=True)
class Reply:
    """What is sent back: a body, or the events of a stream; `fault` says how fast and how far."""

    status: int
    body: bytes | list[bytes]
    fault: Fault = field(default_factory=Fault)
    headers: tuple[tuple[str, str], ...] = ()


class Service(Protocol):
    """What replies."""

    def respond(self, method: str, target: str, headers: Mapping[str, str], raw: bytes) -> Reply:
        """Return the reply to a request; never raises."""

    def refuse(self, refused: Refused) -> Reply:
        """Return the reply to what is no proper request."""

    def wait(self, seconds: float) -> None:
        """Wait, but not longer than the service runs."""


class Listener(ThreadingHTTPServer):
    """A thread for each connection; raises OSError if the address cannot be had."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], service: Service) -> None:
        self.service = service
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        TCPServer.server_bind(self)  # HTTPServer's looks up the name of the host
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a client that was killed, or gave up


class _Handler(BaseHTTPRequestHandler):
    server: Listener
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "nerc", ""
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body in one packet

    def _any(self) -> None:
        raw = self._body()
        if raw is None:
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        self._send(self.server.service.respond(self.command, self.path, headers, raw))

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_HEAD = _any  # noqa: N815

    def _body(self) -> bytes | None:
        """Return the body of the request; None, and the connection ends, if it cannot be read."""
        length = self.headers.get("content-length", "0" if self.command != "POST" else "")
        if not (length.isascii() and length.isdigit()):
            self.send_error(411, "the request does not say how long it is")
        elif int(length) > LARGEST:
            self.send_error(413, f"the request is longer than {LARGEST} bytes")
            self._drain()
        else:
            return self.rfile.read(int(length))
        return None

    def _drain(self) -> None:
        """Read what the client is still sending: closed before that, the connection is reset, and the reply lost."""
        self.connection.settimeout(1.0)
        with suppress(OSError):
            while self.rfile.read1(2**16):
                pass

    def handle_expect_100(self) -> bool:
        """Let the client go on at once."""
        goes_on = super().handle_expect_100()
        self.wfile.flush()
        return goes_on

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse what is no proper HTTP, in the same form as everything else, and end the connection."""
        self.close_connection = True
        self.request_version = self.protocol_version  # else what has none is HTTP/0.9, which gets no head
        self._send(self.server.service.refuse(Refused(code, message or "no proper request")))

    def _send(self, reply: Reply) -> None:
        fault = reply.fault
        if fault.end in ("hang up", "reset"):
            return self._end(fault.end == "reset")
        streamed = isinstance(reply.body, list)
        self.send_response(reply.status)
        for name, value in (*reply.headers, *fault.headers):
            self.send_header(name, value)
        self.send_header("content-type", "text/event-stream" if streamed else "application/json")
        if isinstance(reply.body, list):
            self.send_header("transfer-encoding", "chunked")
            pieces = [b"%x\r\n%b\r\n" % (len(event), event) for event in reply.body] + [b"0\r\n\r\n"]
        else:
            self.send_header("content-length", str(len(reply.body)))
            pieces = list(_split(reply.body, PIECES)) if fault.spread else [reply.body]
        if self.close_connection:
            self.send_header("connection", "close")
        self.end_headers()
        if fault.end == "half":
            pieces = pieces[: len(pieces) // 2] or [pieces[0][: len(pieces[0]) // 2]]
        if self.command != "HEAD":
            self._write(pieces, fault.spread / len(pieces))
        if fault.end == "half":
            self._end(reset=False)

    def _write(self, pieces: Iterable[bytes], pause: float) -> None:
        for piece in pieces:
            self.server.service.wait(pause)
            self.wfile.write(piece)
            if pause:
                self.wfile.flush()
        self.wfile.flush()

    def _end(self, reset: bool) -> None:
        self.close_connection = True
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def log_message(self, format: str, *args: Any) -> None:
        pass


def _split(body: bytes, pieces: int) -> Iterator[bytes]:
    step = max(1, -(-len(body) // pieces))
    for at in range(0, len(body), step):
        yield body[at : at + step]
