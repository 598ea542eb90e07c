"""The last stages: the held-out part is made again and measured, a sentence spoken, and both put
into the report."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from facial_jax.data.clips import Clip
from facial_jax.files import write_text
from facial_jax.mediapipe_models import ModelMissingError
from facial_jax.metrics import rendering_to_video as evaluation
from facial_jax.models.rendering_to_video.reference import load_reference
from facial_jax.personalization.clip import shown_frames
from facial_jax.personalization.config import PersonalizationConfig
from facial_jax.personalization.report import report_page
from facial_jax.pictures import contact_sheet, side_by_side
from facial_jax.subject import load_subject
from facial_jax.synthesis import sample_speech, synthesize
from facial_jax.video import read_frames

SPOKEN = "spoken.mp4"
REPORT = "report.html"


def evaluate(
    video: Path,
    config: PersonalizationConfig,
    clip: Clip,
    first: int,
    data: Path,
    folder: Path,
    seconds: dict[str, float],
    trained: dict[str, Path],
    *,
    say: Callable[[str], None],
) -> None:
    """Measures the held-out part, speaks a sentence, and writes both to the report.

    Args:
        video: that the person was learnt from.
        config: how.
        clip: what was tracked in it.
        first: number of the clip's first held-out frame.
        data: folder of the frames that rendering-to-video is trained on.
        folder: of the report, the numbers and the sentence.
        seconds: what the stages took.
        trained: pictures of the trainings, by title.
        say: is given the tables.
    """
    subject = load_subject(config.folder)
    frames, attributes, *_ = load_reference(data)
    frames, first = np.asarray(frames), int((shown_frames(clip, first) < first).sum())
    held_out, real = attributes[first:], frames[first:]
    generated = evaluation.generate(subject, held_out)
    shown = evaluation.shown_to_network(subject, held_out)
    measured = evaluation.compare_pictures(generated, frames, attributes, first)
    tables = {
        "held-out frames, made again from their attributes": evaluation.means(measured),
        "face, mouth and eyes alone, specks and patterns": evaluation.compare_regions(
            shown, held_out.blink, real, generated
        ),
    }
    curves = {
        "PSNR of the held-out frames, dB": {
            name: row["psnr_db"] for name, row in measured.items() if "psnr_db" in row
        },
        "blink that drives the held-out frames, AU45": {"blink": np.asarray(held_out.blink)},
    }
    say(evaluation.table(evaluation.means(measured), evaluation.MEASURES))
    synthesize(sample_speech(), subject=subject, output=folder / SPOKEN, progress=False)
    spoken = read_frames(folder / SPOKEN)
    facts = {
        "video": video.name,
        "frames with a face": f"{len(frames)} of {len(clip)} at {float(subject.fps):g} per second",
        "held out": f"the last {len(real)}",
        "size": f"{subject.size}×{subject.size}",
    } | {f"{name}, seconds": f"{value:.0f}" for name, value in seconds.items()}
    try:
        tables["all pixels generated, and the face pasted over the real frame"] = (
            evaluation.compare_landmarks(subject, held_out, real, generated)
        )
        eyes = evaluation.compare_eyes(subject, held_out, real, generated)
        tables["eyes by landmarks, and the blink that drives them"] = eyes
        jitter = evaluation.measure_jitter(folder / SPOKEN, frames, float(subject.fps))
        tables["trembling of the landmarks, of the eyes' distance"] = {"jitter": jitter}
    except (ImportError, ModelMissingError, ValueError) as error:
        facts["eyes and trembling"] = f"not measured: {error}"
    for title, rows in list(tables.items())[1:]:
        columns = tuple(next(iter(rows.values())))
        say(f"{title}\n{evaluation.table(rows, columns)}")
    pictures = {
        "held out: real above, generated below": side_by_side({"real": real, "made": generated}),
        "held out, the ten worst mouths: real, what the network sees, generated": (
            evaluation.worst_mouths(shown, real, generated)
        ),
        "a sentence of another voice, spoken by the person": contact_sheet(
            spoken, columns=8, rows=3
        ),
    }
    pictures |= {title: path for title, path in trained.items() if path.is_file()}
    write_text(folder / "numbers.json", json.dumps(tables, indent=1) + "\n")
    page = report_page(config.subject, facts, tables, curves, pictures)
    write_text(folder / REPORT, page)
