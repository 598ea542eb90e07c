"""The evaluation of one video, of a pair, of a subject, and of many pairs."""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np

from facial_jax.evaluation.alignment import align
from facial_jax.evaluation.measures import Given, motion_measures, pair_measures, video_measures
from facial_jax.evaluation.observation import observe
from facial_jax.evaluation.report import NUMBERS, Evaluation, write_evaluation
from facial_jax.files import write_text
from facial_jax.frame_rate import FrameRate
from facial_jax.metrics.pictures import perceptual_features
from facial_jax.subject import load_subject
from facial_jax.synthesis import synthesize

GENERATED, REAL = "generated", "real"
SPOKEN = "generated.mp4"
Progress = Callable[..., Iterable]


def evaluate_video(
    video: Path, folder: Path, *, given: Given | None = None, progress: Progress = iter
) -> Evaluation:
    """Measures one video by itself and writes the report.

    Raises:
        FileNotFoundError, ValueError: there is no such video, or no face in it.
        ImportError, ModelMissingError: MediaPipe or its model is missing.
    """
    given = given or Given()
    seen = observe(video, progress=progress)
    numbers, missing = video_measures(seen, given)
    notes = given.said(perceptual_features(given.vgg))[1:2]
    evaluation = Evaluation({"video": numbers}, notes, tuple(missing))
    write_evaluation(folder, video.name, {"video": seen}, evaluation)
    return evaluation


def evaluate_pair(
    video: Path,
    reference: Path,
    folder: Path,
    *,
    given: Given | None = None,
    progress: Progress = iter,
) -> Evaluation:
    """Measures a generated video beside the real one, whose own row stands beside its.

    The generated video is read at the real one's frame rate; what else was aligned is noted.
    Arguments and errors as `evaluate_video`'s.
    """
    given = given or Given()
    real = observe(reference, progress=progress)
    generated = observe(video, fps=real.video.fps, progress=progress)
    alignment = align(generated, real)
    rows, missing = {}, []
    for name, seen in ((GENERATED, generated), (REAL, real)):
        rows[name], lacking = video_measures(seen, given)
        missing += [f"{name}: {text}" for text in lacking]
    numbers, lacking = pair_measures(generated, real, alignment, given)
    rows[GENERATED] |= numbers
    missing += lacking
    # The real video beside itself: what the best value is.
    rows[REAL] |= motion_measures(real, real, align(real, real))[0]
    notes = (*alignment.notes, *given.said(perceptual_features(given.vgg)))
    evaluation = Evaluation(rows, notes, tuple(missing))
    title = f"{video.name} beside {reference.name}"
    write_evaluation(folder, title, {GENERATED: generated, REAL: real}, evaluation)
    return evaluation


def evaluate_subject(
    subject: str | Path,
    reference: Path,
    folder: Path,
    *,
    fps: FrameRate | None = None,
    given: Given | None = None,
    progress: Progress = iter,
) -> Evaluation:
    """Lets a subject say what is said in a video, and measures it beside that video.

    Arguments and errors as `evaluate_pair`'s; also those of `facial_jax.synthesize`.

    Args:
        subject: a bundled subject's name, or a subject's folder; with full frames if it has
            them.
        reference: a video with sound, of the subject's person if there is one.
        folder: of the report and of the generated video.
        fps: of the generated video; the subject's by default.
        given: what only the user can bring.
        progress: wraps the iterations over frames.
    """
    folder.mkdir(parents=True, exist_ok=True)
    who = load_subject(subject)
    synthesize(
        reference,
        subject=who,
        output=folder / SPOKEN,
        fps=fps,
        full_frame=who.full_frame is not None,
        progress=False,
    )
    return evaluate_pair(folder / SPOKEN, reference, folder, given=given, progress=progress)


def find_pairs(folder: Path) -> dict[str, tuple[Path, Path]]:
    """The pairs in a folder: in each of its folders one `video.*` and one `reference.*`.

    Raises:
        ValueError: there is not one.
    """
    pairs = {}
    for inner in sorted(x for x in folder.iterdir() if x.is_dir()):
        files = [sorted(inner.glob(f"{name}.*")) for name in ("video", "reference")]
        if all(len(x) == 1 for x in files):
            pairs[inner.name] = (files[0][0], files[1][0])
    if not pairs:
        raise ValueError(
            f"pairs: expected folders with video.mp4 and reference.mp4 in {folder}, found none"
        )
    return pairs


def evaluate_pairs(
    pairs: Mapping[str, tuple[Path, Path]],
    folder: Path,
    *,
    given: Given | None = None,
    progress: Progress = iter,
    say: Callable[[str], None],
) -> dict[str, dict[str, float]]:
    """Measures each pair into a folder of its own, and writes the means over all.

    A pair that cannot be measured is said and left out.

    Raises:
        ValueError: none can be measured.
    """
    evaluations: dict[str, Evaluation] = {}
    for name, (video, reference) in pairs.items():
        try:
            evaluations[name] = evaluate_pair(
                video, reference, folder / name, given=given, progress=progress
            )
        except (ValueError, OSError) as error:
            say(f"{name}: left out, {error}")
    if not evaluations:
        raise ValueError(f"pairs: none of {len(pairs)} could be measured")
    means = {
        kind: _means([x.rows[kind] for x in evaluations.values()]) for kind in (GENERATED, REAL)
    }
    numbers = {"pairs": list(evaluations), "rows": means}
    write_text(folder / NUMBERS, json.dumps(numbers, indent=1) + "\n")
    return means


def _means(rows: list[Mapping[str, float]]) -> dict[str, float]:
    """Over the rows that have a number, of each measure that some row has."""
    names = dict.fromkeys(name for row in rows for name in row)
    means = {}
    for name in names:
        values = [row[name] for row in rows if name in row and np.isfinite(row[name])]
        if values:
            means[name] = float(np.mean(values))
    return means
