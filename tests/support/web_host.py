"""An https host on loopback that says exactly what a test wants, and a certificate authority that vouches for it."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from gateway.adapters.web.guarded import GuardedWeb
from gateway.adapters.web.resolving import Resolve
from gateway.domain.addresses import IPAddress

LOOPBACK = ip_address("127.0.0.1")
NAME = "images.example"

Answer = Callable[[socket.socket], None]


@dataclass(frozen=True, slots=True)
class Received:
    """A request as the host read it; `server_name` is what TLS was asked for."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    server_name: str | None


def answer(status: int = 200, body: bytes = b"", **headers: str) -> Answer:
    """A whole, honest answer; `content_type` in `headers` is Content-Type."""
    fields = {"content-length": str(len(body)), **{name.replace("_", "-"): value for name, value in headers.items()}}
    lines = [f"HTTP/1.1 {status} Reason", *(f"{name}: {value}" for name, value in fields.items())]
    return raw("\r\n".join(lines).encode() + b"\r\n\r\n" + body)


def raw(data: bytes) -> Answer:
    """These bytes."""
    return lambda connection: connection.sendall(data)


def redirect(location: str) -> Answer:
    """A redirect."""
    return answer(302, location=location)


@dataclass
class WebHost:
    """Answers by path, in threads; the host's names are those of its certificate."""

    tls: ssl.SSLContext
    answers: dict[str, Answer] = field(default_factory=dict)
    received: list[Received] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)
    """Set when the host stops: an answer that waits should wait for it."""

    def __post_init__(self) -> None:
        self._names: dict[int, str | None] = {}
        self.tls.sni_callback = lambda connection, name, _context: self._names.__setitem__(id(connection), name)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, path: str = "/", *, name: str = NAME) -> str:
        """Where `path` is."""
        return f"https://{name}:{self.port}{path}"

    def stop(self) -> None:
        """Ends the host."""
        self.ended.set()
        with suppress(OSError):  # already gone; on Linux this wakes the thread that accepts
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while not self.ended.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        # a client that refuses us or leaves is what many tests are about
        with connection, suppress(OSError):
            connection.settimeout(10)
            with self.tls.wrap_socket(connection, server_side=True) as secured:
                request = self._read(secured)
                self.received.append(request)
                self.answers[request.path](secured)

    def _read(self, connection: ssl.SSLSocket) -> Received:
        with connection.makefile("rb") as stream:
            method, path, _ = stream.readline().decode().split(" ")
            headers = {}
            while (line := stream.readline().decode().strip()) != "":
                name, _, value = line.partition(": ")
                headers[name.lower()] = value
            body = stream.read(int(headers.get("content-length", "0")))
        return Received(method, path, headers, body, self._names.pop(id(connection), None))


@dataclass(frozen=True)
class Authority:
    """A certificate authority of one host, and the files and contexts of both sides."""

    certificate: str
    chain: Path

    def server(self) -> ssl.SSLContext:
        """The host's side."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.chain)
        return context

    def client(self) -> ssl.SSLContext:
        """The side that trusts this authority and no other."""
        return ssl.create_default_context(cadata=self.certificate)

    def web(
        self,
        host: WebHost,
        *,
        resolve: Resolve | None = None,
        allow: Callable[[IPAddress], bool] = lambda address: address == LOOPBACK,
        timeout_s: float = 5.0,
    ) -> GuardedWeb:
        """A guarded web that may reach `host` on loopback."""
        return GuardedWeb(
            ports=frozenset({host.port}),
            timeout_s=timeout_s,
            allow=allow,
            resolve=resolve or book({}),
            tls=self.client(),
        )


def book(addresses: dict[str, Sequence[str]]) -> Resolve:
    """A resolver that knows these names; all others are on loopback."""

    async def look_up(host: str, _port: int) -> Sequence[IPAddress]:
        return [ip_address(address) for address in addresses.get(host, ["127.0.0.1"])]

    return look_up


def make_authority(folder: Path, *names: str) -> Authority:
    """An authority and, in `folder`, the certificate that it gave to a host of these names."""
    now = datetime.now(UTC)
    ca_key, host_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
    ca_id = x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key())

    def builder(subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(ca_name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(ca_id), critical=False)
        )

    signing = x509.KeyUsage(
        False, False, False, False, False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False
    )
    certificate = (
        builder(ca_name, ca_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(signing, critical=True)
        .add_extension(ca_id, critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    host_certificate = (
        builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])]), host_key)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    key_pem = host_key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    chain = folder / "host.pem"
    chain.write_bytes(key_pem + host_certificate.public_bytes(pem))
    return Authority(certificate.public_bytes(pem).decode(), chain)
