"""Speech or a text, and a subject: a video."""

import os
import tempfile
from pathlib import Path

import facial_jax
from facial_jax.editing import scale_attributes
from facial_jax.subject import BUNDLED_SUBJECTS, DESCRIPTION


def subject_folders(subjects: Path) -> dict[str, Path]:
    """Bundled subjects and those that were made here, by name."""
    learnt = sorted(path.parent for path in subjects.glob(f"*/{DESCRIPTION}"))
    bundled = [BUNDLED_SUBJECTS / name for name in facial_jax.bundled_subjects()]
    return {folder.name: folder for folder in (*learnt, *bundled)}


def make_video(
    audio: str | os.PathLike | None,
    text: str,
    *,
    voice: str | os.PathLike,
    subject: Path,
    head_motion: float = 1.0,
    blinking: float = 1.0,
    articulation: float = 1.0,
    pose_from: str | os.PathLike | None = None,
    full_frame: bool = False,
) -> Path:
    """The video's file, in a new folder in the temporary one.

    Args:
        audio: a recording; None if there is a text.
        text: what to say; empty if there is a recording.
        voice: who says the text, see `facial_jax.speak_text`.
        subject: the folder of who is seen.
        head_motion: factor of the head's motion about its mean.
        blinking: factor of the blinks.
        articulation: factor of the expression.
        pose_from: a video whose head motion is taken.
        full_frame: show whole frames of the subject's reference video.

    Raises:
        ValueError: neither audio nor text, or both; and as `facial_jax.synthesize`.
    """
    if (audio is None) == (not text.strip()):
        got = "both" if audio else "neither"
        raise ValueError(f"speech, text: expected one of them, got {got}")
    speech = facial_jax.speak_text(text, voice=voice) if audio is None else audio
    loaded = facial_jax.load_subject(subject)
    options = dict(subject=loaded, full_frame=full_frame)
    video = facial_jax.synthesize(speech, pose_from=pose_from, head_motion=head_motion, **options)
    video.attributes = scale_attributes(video.attributes, blink=blinking, expression=articulation)
    return video.save(Path(tempfile.mkdtemp(dir=os.environ.get("GRADIO_TEMP_DIR"))) / "talk.mp4")
