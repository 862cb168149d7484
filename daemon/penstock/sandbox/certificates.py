"""A certificate authority for a day, with a server on the loopback and a client that it signed."""

from dataclasses import dataclass
from pathlib import Path

from penstock.sandbox.process import run
from penstock.sandbox.programs import find_program

_OPENSSL_CONFIGURATION = """\
[req]
distinguished_name = name
[name]
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = DNS:localhost, IP:127.0.0.1
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[client]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""


@dataclass(frozen=True, kw_only=True)
class Certificates:
    """Paths of PEM files; keys are not encrypted."""

    authority: Path
    server: Path
    server_key: Path
    client: Path
    client_key: Path


def make_certificates(folder: Path) -> Certificates:
    """Write an authority of its own and what it signed into `folder`, which is made if need be.

    Raises:
        SandboxError: `openssl` is missing or failed.
    """
    folder.mkdir(exist_ok=True)
    (folder / "openssl.cnf").write_text(_OPENSSL_CONFIGURATION)
    authority, _ = _make(folder, "authority", subject="/CN=Penstock sandbox authority")
    server, server_key = _make(folder, "server", subject="/CN=localhost", signed=True)
    client, client_key = _make(folder, "client", subject="/CN=penstock", signed=True)
    return Certificates(
        authority=authority,
        server=server,
        server_key=server_key,
        client=client,
        client_key=client_key,
    )


def _make(folder: Path, name: str, *, subject: str, signed: bool = False) -> tuple[Path, Path]:
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    signer: list[str | Path] = (
        ["-CA", folder / "authority.pem", "-CAkey", folder / "authority.key"] if signed else []
    )
    run(
        [
            *(find_program("openssl"), "req", "-config", folder / "openssl.cnf"),
            *("-x509", "-extensions", name, "-subj", subject, "-days", "2"),
            *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc"),
            *("-keyout", key, "-out", certificate),
            *signer,
        ]
    )
    return certificate, key
