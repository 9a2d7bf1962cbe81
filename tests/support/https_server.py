"""A real HTTPS server with the manners of pveproxy, whose answers a test writes down.

It closes a connection after an answer of 400 or more, and one that is idle for longer than `idle_seconds`. An
answer may also be a fault: `RESET` reads the request and cuts the connection, `SILENCE` never answers.
"""

import datetime as dt
import hashlib
import ipaddress
import json
import ssl
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import SO_LINGER, SOL_SOCKET
from typing import Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What arrived."""

    method: str
    path: str
    raw_path: str
    params: Mapping[str, str]
    headers: Mapping[str, str]
    connection: int
    """Which connection it came on, counted from 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What goes back."""

    status: int = 200
    reason: str = "OK"
    body: Any = None
    """JSON, or bytes as they are."""
    headers: Mapping[str, str] = field(default_factory=dict)


RESET = "reset"
SILENCE = "silence"

Script = Callable[[Request], Answer | str]


def data(value: object, **beside: object) -> Answer:
    """A success in Proxmox' envelope."""
    return Answer(body={"data": value, **beside})


def refusal(status: int, reason: str, **beside: object) -> Answer:
    """A refusal as Proxmox 9 sends it."""
    return Answer(status=status, reason=reason, body={"data": None, "message": f"{reason}\n", **beside})


class HttpsServer:
    """Listens on a free port of an address while it is entered."""

    def __init__(
        self, folder: Path, script: Script, *, idle_seconds: float = 5.0, address: str = "127.0.0.1"
    ) -> None:
        self.requests: list[Request] = []
        self.connections = 0
        self.script = script
        self.idle_seconds = idle_seconds
        self.over = threading.Event()
        self.address = address
        self._folder = folder
        self._context = context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.renew()
        self._http = ThreadingHTTPServer((address, 0), type("Handler", (_Handler,), {"owner": self}))
        self._http.daemon_threads = True
        self._http.socket = context.wrap_socket(
            self._http.socket, server_side=True, do_handshake_on_connect=False
        )
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02})

    def renew(self) -> None:
        """Show a new certificate to who connects from now on; connections that stand go on."""
        self.certificate, key = _certificate(self.address)
        pem = self.certificate.public_bytes(serialization.Encoding.PEM)
        (self._folder / "server.pem").write_bytes(pem + key)
        self.ca = pem.decode()
        der = self.certificate.public_bytes(serialization.Encoding.DER)
        self.fingerprint = hashlib.sha256(der).digest().hex(":").upper()
        self._context.load_cert_chain(self._folder / "server.pem")

    @property
    def endpoint(self) -> str:
        """Where it listens."""
        return f"https://{self.address}:{self._http.server_address[1]}"

    def __enter__(self) -> Self:
        """Start listening."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.stop()

    def stop(self) -> None:
        """Close the port; what runs is not waited for."""
        if not self.over.is_set():
            self.over.set()
            self._http.shutdown()
            self._http.server_close()
            self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: HttpsServer

    def setup(self) -> None:
        self.owner.connections += 1
        self.number = self.owner.connections
        super().setup()
        self.connection.settimeout(self.owner.idle_seconds)

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def __getattr__(self, name: str) -> Callable[[], None]:
        if name.startswith("do_"):
            return self._answer
        raise AttributeError(name)

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        parts = urlsplit(self.path)
        raw = parts.path.removeprefix("/api2/json")
        request = Request(
            method=self.command,
            path=unquote(raw),
            raw_path=raw,
            params=dict(parse_qsl(parts.query or body, keep_blank_values=True)),
            headers=dict(self.headers.items()),
            connection=self.number,
        )
        self.owner.requests.append(request)
        answer = self.owner.script(request)
        if isinstance(answer, str):
            self._fail(answer)
        else:
            self._send(answer)

    def _fail(self, fault: str) -> None:
        self.close_connection = True
        if fault == SILENCE:
            self.owner.over.wait(30)
        self.connection.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def _send(self, answer: Answer) -> None:
        body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        self.send_response(answer.status, answer.reason)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.status >= 400:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _certificate(address: str) -> tuple[x509.Certificate, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "pve1")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate, private
