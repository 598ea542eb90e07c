"""Videos that are signed with C2PA, by a key and a chain of certificates made here."""

import datetime
import json
from fractions import Fraction

import numpy as np
import pytest

import facial_jax
from experiments import synthesize as command
from facial_jax.audio.waveform import AudioSource
from facial_jax.credentials import Signature
from facial_jax.version import __version__
from facial_jax.video import read_frames, write_video

c2pa = pytest.importorskip("c2pa")
from cryptography import x509  # noqa: E402, c2pa-python brings it
from cryptography.hazmat.primitives import hashes, serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519  # noqa: E402
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID  # noqa: E402


def certificate(name, key, issuer=None, issuer_key=None):
    """An authority's certificate, or one for signing that an authority has issued."""
    attributes = {NameOID.COMMON_NAME: name, NameOID.ORGANIZATION_NAME: "Nobody"}
    subject = x509.Name([x509.NameAttribute(*pair) for pair in attributes.items()])
    now = datetime.datetime.now(datetime.UTC)
    signing_key = issuer_key or key
    unused = "content_commitment key_encipherment data_encipherment key_agreement"
    usage = dict.fromkeys([*unused.split(), "encipher_only", "decipher_only"], False)
    usage |= {name: issuer is None for name in ("key_cert_sign", "crl_sign")}
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(digital_signature=True, **usage), critical=True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key()),
            critical=False,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if issuer is not None:
        purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
        builder = builder.add_extension(purpose, critical=False)
    own = isinstance(signing_key, ed25519.Ed25519PrivateKey)
    return builder.sign(signing_key, None if own else hashes.SHA256())


def write_pem(path, key):
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


@pytest.fixture(params=["P-256", "Ed25519"])
def signer(request, tmp_path):
    """Files of a key and of the chain of its certificate, and the authority's certificate."""
    if request.param == "P-256":
        authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    else:
        authority_key, key = (ed25519.Ed25519PrivateKey.generate() for _ in range(2))
    authority = certificate("An authority", authority_key)
    own = certificate("A signer", key, authority, authority_key)
    pem = [c.public_bytes(serialization.Encoding.PEM) for c in (own, authority)]
    (tmp_path / "chain.pem").write_bytes(b"".join(pem))
    files = {"key": write_pem(tmp_path / "key.pem", key), "certificate": tmp_path / "chain.pem"}
    return files, pem[1].decode()


def write(path, **options):
    frames = np.random.default_rng(0).integers(0, 255, (10, 64, 64, 3)).astype(np.uint8)
    sound = AudioSource((np.zeros(6400, np.float32), 16000))
    write_video(path, iter([frames]), size=(64, 64), fps=Fraction(25), audio=sound, **options)


def validated(path, authority):
    """What a verifier says who trusts this authority: the manifest and the state."""
    settings = {"trust": {"user_anchors": authority}, "verify": {"verify_trust": True}}
    with c2pa.Context.from_dict(settings) as context, c2pa.Reader(path, context=context) as reader:
        store = json.loads(reader.json())
    return store["manifests"][store["active_manifest"]], store["validation_state"]


@pytest.mark.parametrize("ending", [".mp4", ".mov", ".gif"])
def test_a_verifier_reads_that_a_trained_model_made_the_video(signer, tmp_path, ending):
    files, authority = signer
    path = tmp_path / f"talk{ending}"
    write(path)
    before = read_frames(path)
    Signature(**files).sign(path)
    manifest, state = validated(path, authority)
    assert state == "Trusted"
    assert manifest["claim_generator_info"][0]["name"] == "facial_jax"
    assert manifest["signature_info"]["issuer"] == "Nobody"
    (actions,) = (a for a in manifest["assertions"] if a["label"].startswith("c2pa.actions"))
    (action,) = actions["data"]["actions"]
    assert action["action"] == "c2pa.created"
    assert action["digitalSourceType"].endswith("/trainedAlgorithmicMedia")
    assert action["softwareAgent"]["version"] == __version__
    np.testing.assert_array_equal(read_frames(path), before)


def test_a_verifier_sees_that_a_signed_video_was_changed(signer, tmp_path):
    files, authority = signer
    path = tmp_path / "talk.mp4"
    write(path)
    Signature(**files).sign(path)
    data = bytearray(path.read_bytes())
    data[data.rindex(b"mdat") + 200] ^= 0xFF
    path.write_bytes(data)
    assert validated(path, authority)[1] == "Invalid"


def test_what_cannot_sign_is_said_before_there_is_a_video(signer, tmp_path):
    files, _ = signer
    Signature(**files).check(tmp_path / "talk.mp4")
    with pytest.raises(ValueError, match=r"expected \.mp4, \.mov, \.gif to be signed, got .*mkv"):
        Signature(**files).check(tmp_path / "talk.mkv")
    with pytest.raises(FileNotFoundError, match=r"key: there is no file .*nothing\.pem"):
        Signature(**files | {"key": tmp_path / "nothing.pem"}).check(tmp_path / "talk.mp4")
    with pytest.raises(ValueError, match=r"key: .*chain\.pem is not a PEM private key"):
        Signature(**files | {"key": files["certificate"]}).check(tmp_path / "talk.mp4")
    other = write_pem(tmp_path / "dsa.pem", dsa.generate_private_key(2048))
    with pytest.raises(ValueError, match="expected ECDSA, Ed25519 or RSA"):
        Signature(**files | {"key": other}).check(tmp_path / "talk.mp4")


def test_a_certificate_that_is_not_the_keys_leaves_the_video_as_it_was(signer, tmp_path):
    files, _ = signer
    path = tmp_path / "talk.mp4"
    write(path)
    before = path.read_bytes()
    other = write_pem(tmp_path / "other.pem", ec.generate_private_key(ec.SECP256R1()))
    with pytest.raises(ValueError, match="certificate"):
        Signature(**files | {"key": other}).sign(path)
    assert path.read_bytes() == before


def test_a_video_is_signed_as_it_is_written(signer, tmp_path):
    files, authority = signer
    path = tmp_path / "talk.mp4"
    write(path, signature=Signature(**files))
    manifest, state = validated(path, authority)
    assert (state, manifest["title"]) == ("Trusted", "talk.mp4")
    assert sorted(p.name for p in tmp_path.glob("*.mp4")) == ["talk.mp4"]


def test_the_command_hands_on_who_signs(signer, tmp_path, monkeypatch):
    files, _ = signer
    asked = []
    monkeypatch.setattr(facial_jax, "synthesize", lambda *_, **options: asked.append(options))
    options = {"audio": tmp_path / "speech.wav"}
    options |= {"sign_key": files["key"], "sign_certificate": files["certificate"]}
    with pytest.raises(AttributeError):  # there is no video here
        command.main(command.Arguments(**options))
    assert asked[0]["signature"] == Signature(**files)
    with pytest.raises(SystemExit, match="sign_key, sign_certificate: expected both or neither"):
        command.main(command.Arguments(**options | {"sign_certificate": None}))
