"""A token and certificates for a Ray cluster.

`python -m shared.execution.certificates FOLDER HOST...` makes those that are missing.

Every node has the same certificate, which names all of them by address: Ray connects nodes by their
addresses. An authority of your own takes the place of this where there is one.
"""

import ipaddress
import secrets
import sys
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from shared.clock import SystemClock, to_datetime
from shared.system.files import create_once, write_whole

DAYS = 365
FILES = {
    "RAY_TLS_CA_CERT": "ca.crt",
    "RAY_TLS_SERVER_CERT": "tls.crt",
    "RAY_TLS_SERVER_KEY": "tls.key",
}
TOKEN = "token"  # noqa: S105 - the name of a file


def main(arguments: Sequence[str]) -> int:
    """Make what is missing; 2 where no host is named."""
    if len(arguments) < 2:
        sys.stderr.write("python -m shared.execution.certificates FOLDER HOST [HOST...]\n")
        return 2
    folder = Path(arguments[0])
    create_once(folder / TOKEN, secrets.token_hex(32).encode())
    if not all((folder / name).is_file() for name in FILES.values()):
        write_certificates(folder, arguments[1:])
    return 0


def write_certificates(folder: Path, hosts: Sequence[str]) -> Mapping[str, str]:
    """One certificate for these hosts and its authority, as files; the variables name them."""
    folder.mkdir(parents=True, exist_ok=True)
    authority, key = (
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP256R1()),
    )
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority of a Ray cluster")])
    root = _certificate(issuer, issuer, authority, authority, ca=True)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ray")])
    leaf = _certificate(subject, issuer, key, authority, hosts=hosts)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    # the authority's private key is not stored: a new host needs new certificates for all
    contents = {
        "RAY_TLS_CA_CERT": root.public_bytes(serialization.Encoding.PEM),
        "RAY_TLS_SERVER_CERT": leaf.public_bytes(serialization.Encoding.PEM),
        "RAY_TLS_SERVER_KEY": private,
    }
    for name, content in contents.items():
        write_whole(folder / FILES[name], content, mode=0o600)
    return {"RAY_USE_TLS": "1", **{name: str(folder / FILES[name]) for name in contents}}


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    authority: ec.EllipticCurvePrivateKey,
    *,
    hosts: Sequence[str] = (),
    ca: bool = False,
) -> x509.Certificate:
    now = to_datetime(SystemClock().now_us())
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=DAYS))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if hosts:
        names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
        built = built.add_extension(names, critical=False)
    return built.sign(authority, hashes.SHA256())


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
