"""Content Credentials (C2PA): a signed statement in the video that a trained model made it.

The signature is the user's own: a private key and the certificate of it, with the chain up to an
authority that verifiers trust. No network is used, so the signature has no trusted time stamp.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facial_jax.files import whole_or_nothing
from facial_jax.version import __version__

SIGNABLE = {".mp4": "video/mp4", ".mov": "video/quicktime", ".gif": "image/gif"}
"""Endings of the files that C2PA can sign, and what it calls them."""
TRAINED_ALGORITHMIC_MEDIA = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
"""IPTC's name for media that a trained model made."""


@dataclass(frozen=True)
class Signature:
    """Who signs videos: `facial_jax.synthesize(…, signature=Signature(key, certificate))`."""

    key: str | os.PathLike
    # PEM file of the private key: ECDSA with P-256, P-384 or P-521, Ed25519, or RSA
    certificate: str | os.PathLike
    # PEM file of the certificates, the signer's own first, then those that lead to the authority;
    # C2PA asks for one for signing e-mail or documents

    def check(self, path: str | os.PathLike) -> None:
        """Refuses what could not be signed, before there is a video at `path`.

        Raises:
            ImportError: c2pa-python is not installed.
            FileNotFoundError: there is no key or no certificate.
            ValueError: C2PA cannot sign files of this ending, or with this key.
        """
        if Path(path).suffix.lower() not in SIGNABLE:
            raise ValueError(f"output: expected {', '.join(SIGNABLE)} to be signed, got {path}")
        _signer(Path(self.key), Path(self.certificate))

    def sign(self, path: str | os.PathLike, *, title: str | None = None) -> None:
        """Signs a video in its place: created by trained algorithmic media, with facial_jax.

        Args:
            path: a file with an ending of `SIGNABLE`.
            title: what the credentials call it; its name by default.

        Raises:
            FileNotFoundError: there is no such video, and as `check`.
            ValueError: a file that cannot be signed, or a certificate that is not the key's.
            ImportError: as `check`.
        """
        path = Path(path)
        self.check(path)
        if not path.is_file():
            raise FileNotFoundError(f"path: there is no video {path}")
        import c2pa

        signer = _signer(Path(self.key), Path(self.certificate))
        manifest = _manifest(title or path.name)
        with whole_or_nothing(path) as partial, c2pa.Builder(manifest) as builder:
            try:
                with path.open("rb") as source, partial.open("w+b") as target:
                    builder.sign(signer, SIGNABLE[path.suffix.lower()], source, target)
            except c2pa.C2paError as error:
                raise ValueError(
                    f"certificate: {self.certificate} cannot sign {path}: {error}"
                ) from error


def _manifest(title: str) -> dict[str, Any]:
    created = {
        "action": "c2pa.created",
        "digitalSourceType": TRAINED_ALGORITHMIC_MEDIA,
        "softwareAgent": {"name": "facial_jax", "version": __version__},
    }
    return {
        "claim_generator_info": [{"name": "facial_jax", "version": __version__}],
        "title": title,
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [created]}}],
    }


def _signer(key: Path, certificate: Path) -> Any:
    """C2PA's signer with this key.

    Raises as `Signature.check`.
    """
    try:
        import c2pa
    except ImportError as error:
        raise ImportError(
            "signing needs c2pa-python; install it with `pip install 'facial_jax[c2pa]'`"
        ) from error
    for name, file in (("key", key), ("certificate", certificate)):
        if not file.is_file():
            raise FileNotFoundError(f"{name}: there is no file {file}")
    private = key.read_bytes()
    info = c2pa.C2paSignerInfo(_algorithm(private, key), certificate.read_bytes(), private, None)
    try:
        return c2pa.Signer.from_info(info)
    except c2pa.C2paError as error:
        raise ValueError(f"key, certificate: C2PA does not take them: {error}") from error


def _algorithm(private: bytes, path: Path) -> bytes:
    """What C2PA calls the algorithm that a private key signs with."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(private, password=None)
    except (ValueError, TypeError) as error:
        raise ValueError(f"key: {path} is not a PEM private key without a password") from error
    if isinstance(key, ec.EllipticCurvePrivateKey):
        name = {256: b"es256", 384: b"es384", 521: b"es512"}.get(key.curve.key_size)
        if name is not None:
            return name
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return b"ed25519"
    if isinstance(key, rsa.RSAPrivateKey):
        return b"ps256"
    raise ValueError(f"key: expected ECDSA, Ed25519 or RSA in {path}, got {type(key).__name__}")
