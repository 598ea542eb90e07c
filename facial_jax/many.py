"""A folder of recordings in, a folder of videos out.

The subject is loaded once, and what JAX compiles serves every recording, whatever its length. What
a video was made from is a line of `made_from.jsonl` in the output folder: a run that was stopped
continues, and a recording that has changed is made again.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from facial_jax.credentials import Signature
from facial_jax.motion import load_motion
from facial_jax.provenance import Provenance, as_json, file_hash, tree_hash
from facial_jax.subject import Subject, load_subject
from facial_jax.synthesis import synthesize
from facial_jax.version import __version__
from facial_jax.video import FORMATS

RECORD = "made_from.jsonl"
VIDEO = ".mp4"
SOUND_ENDINGS = frozenset(
    (".aac", ".aif", ".aiff", ".amr", ".avi", ".flac", ".m4a", ".m4v", ".mka", ".mkv", ".mov")
) | frozenset(
    (".mp2", ".mp3", ".mp4", ".mpg", ".oga", ".ogg", ".opus", ".wav", ".weba", ".webm", ".wma")
)
"""Files with other endings are not taken for recordings."""


@dataclass(frozen=True)
class Outcome:
    """What became of one recording."""

    audio: Path
    # the recording
    output: Path
    # its video
    error: str | None = None
    # why there is none
    kept: bool = False
    # whether it was there before


def synthesize_folder(
    audio: str | os.PathLike,
    output: str | os.PathLike,
    *,
    subject: str | os.PathLike | Subject = "demo",
    pose_from: str | os.PathLike | None = None,
    blink_from: str | os.PathLike | None = None,
    signature: Signature | None = None,
    progress: bool = True,
    **options: Any,
) -> list[Outcome]:
    """Makes a subject speak every recording of a folder and its subfolders.

    `FOLDER/sub/name.wav` becomes `OUTPUT/sub/name.mp4`. A recording that fails does not keep the
    others from being made. Called again, it makes only what is missing or was made from something
    else.

    Args:
      audio: the folder of recordings.
      output: the folder of videos; made if it is missing.
      subject: as in `facial_jax.synthesize`.
      pose_from: a video or clip.npz whose head motion to take; it is tracked once.
      blink_from: a video or clip.npz whose blinks to take; it is tracked once.
      signature: as in `facial_jax.synthesize`.
      progress: show a progress bar of recordings.
      options: further arguments of `facial_jax.synthesize` that JSON can hold, such as `fps`.

    Returns:
      What became of each recording, in the order of their names.

    Raises:
      FileNotFoundError: there is no such folder, or no recording in it.
      ValueError: the videos would lie among the recordings, or two would have one name; the subject
        cannot be used.
      TypeError: JSON cannot hold an option.
    """
    audio, output = Path(audio), Path(output)
    videos = _videos(audio, output)
    subject = subject if isinstance(subject, Subject) else load_subject(subject)
    subject.check_renders()
    made_with = as_json({**_made_with(subject, bool(options.get("full_frame"))), **options})
    sources = {"pose_from": pose_from, "blink_from": blink_from}
    sources = {name: path for name, path in sources.items() if path is not None}
    motion = {name: load_motion(path, name) for name, path in sources.items()}
    made_with |= {name: file_hash(path) for name, path in sources.items()}
    if signature is not None:
        signature.check(f"any{VIDEO}")
        made_with["certificate"] = file_hash(signature.certificate)
    output.mkdir(parents=True, exist_ok=True)
    record = _read_record(output / RECORD)
    outcomes = []
    for recording, video in tqdm(videos.items(), unit="recording", disable=not progress):
        name = video.relative_to(output).as_posix()
        try:
            made_from = {"audio": file_hash(recording), **made_with}
            kept = video.is_file() and record.get(name) == made_from
            if not kept:
                video.parent.mkdir(parents=True, exist_ok=True)
                synthesize(
                    recording,
                    subject=subject,
                    output=video,
                    signature=signature,
                    progress=False,
                    **motion,
                    **options,
                )
                _add_to_record(output / RECORD, name, made_from)
            outcomes.append(Outcome(recording, video, kept=kept))
        except (ValueError, OSError, RuntimeError) as error:
            outcomes.append(Outcome(recording, video, error=str(error)))
    return outcomes


def outcome_table(outcomes: list[Outcome]) -> str:
    """How many were made, and a line for each that failed: its name and why."""
    failed = [outcome for outcome in outcomes if outcome.error is not None]
    kept = sum(outcome.kept for outcome in outcomes)
    new = len(outcomes) - len(failed) - kept
    noun = "recording" if len(outcomes) == 1 else "recordings"
    lines = [f"{len(outcomes)} {noun}: {new} made, {kept} made before, {len(failed)} failed"]
    width = max((len(str(outcome.audio)) for outcome in failed), default=0)
    lines += [f"  {outcome.audio!s:<{width}}  {outcome.error}" for outcome in failed]
    return "\n".join(lines)


def _videos(audio: Path, output: Path) -> dict[Path, Path]:
    """The video of each recording."""
    if not audio.is_dir():
        raise FileNotFoundError(f"audio: there is no folder {audio}")
    if output.suffix.lower() in FORMATS or (output.exists() and not output.is_dir()):
        raise ValueError(
            f"output: {output} is a file's name; a folder of recordings becomes a folder of videos"
        )
    if output.resolve().is_relative_to(audio.resolve()):
        raise ValueError(
            f"output: {output} lies in the folder of recordings, {audio}, where the videos would "
            "be taken for recordings; give a folder outside it"
        )
    recordings = sorted(_recordings(audio))
    if not recordings:
        raise FileNotFoundError(
            f"audio: there is no recording in {audio}; their names end in "
            f"{' '.join(sorted(SOUND_ENDINGS))}"
        )
    videos = {path: output / path.relative_to(audio).with_suffix(VIDEO) for path in recordings}
    first: dict[Path, Path] = {}
    for path, video in videos.items():
        if (other := first.setdefault(video, path)) != path:
            raise ValueError(f"audio: {other} and {path} would both become {video}; rename one")
    return videos


def _recordings(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        inside = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in inside.parts)
        if path.suffix.lower() in SOUND_ENDINGS and not hidden and path.is_file():
            yield path


def _made_with(subject: Subject, full_frame: bool) -> Provenance:
    arrays = (
        subject.facial_gan,
        subject.rendering_to_video_params,
        subject.identity,
        subject.face_model,
        subject.appearance,
        subject.pose_limits,
    )
    made_with = {
        "facial_jax": __version__,
        "subject": subject.name,
        "acoustic model": subject.acoustic_sha256,
        "subject's arrays": tree_hash(arrays),
    }
    if full_frame:
        subject.check_full_frame()
        made_with["reference video"] = file_hash(subject.full_frame.path)
    return made_with


def _read_record(path: Path) -> dict[str, Provenance]:
    """What each video was made from; of several lines for one, the last."""
    if not path.is_file():
        return {}
    record = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            entry = json.loads(line)
            record[entry["video"]] = entry["made_from"]
        except (ValueError, KeyError, TypeError):
            continue  # a line that was being written when the run was killed
    return record


def _add_to_record(path: Path, video: str, made_from: Provenance) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"video": video, "made_from": made_from}) + "\n")
