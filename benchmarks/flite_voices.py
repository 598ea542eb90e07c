"""Voices that nothing here is trained on, with known phones: folders for `bench_lips --voices`.

    apt-get install flite
    python -m benchmarks.flite_voices --output runs/voices

Flite's voices slt, rms and awb are built from recordings of real speakers (CMU ARCTIC) and say when
each phone ends. They are kept for measuring: no corpus may have them.
"""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

from benchmarks.bench_lips import SENTENCES, WIDE_SENTENCE

VOICES = ("slt", "rms", "awb")
_CMU_OF_FLITE = {"ax": "AH", "pau": "SIL"}


@dataclass(frozen=True)
class Arguments:
    """Where the folders go."""

    output: Path
    """The folder for one folder per voice."""


def flite_phones(printed: str) -> list[tuple[str, float, float]]:
    """CMU's symbols with start and end in seconds, from what `flite -psdur` prints."""
    phones, start_s = [], 0.0
    for item in printed.split():
        name, end = item.rsplit(":", 1)
        phones.append((_CMU_OF_FLITE.get(name, name.upper()), start_s, float(end)))
        start_s = float(end)
    return phones


def main(arguments: Arguments) -> None:
    """Makes the folders."""
    if shutil.which("flite") is None:
        sys.exit("flite is not installed; on Debian and Ubuntu: apt-get install flite")
    for voice in VOICES:
        folder = arguments.output / voice
        folder.mkdir(parents=True, exist_ok=True)
        entries = {}
        for number, text in enumerate((WIDE_SENTENCE, *SENTENCES)):
            file = f"{voice}_{number}.wav"
            command = ["flite", "-voice", voice, "-psdur", "-t", text, "-o", str(folder / file)]
            printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            entries[file] = {"text": text, "phones": flite_phones(printed)}
        (folder / "phones.json").write_text(json.dumps(entries, indent=1) + "\n")
        print(folder)


if __name__ == "__main__":
    main(tyro.cli(Arguments))
