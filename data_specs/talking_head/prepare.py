"""Videos of people in, tracked clips out, one after another or many at once.

For each video a folder of its name, see `facial_jax.tracking.clip`. Videos that cannot be used are
listed with the reason in `left_out.tsv`. Started again after a stop, it does what is missing.
"""

import functools
import shlex
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from data_specs.talking_head.videos import Video
from facial_jax.audio.acoustic import default_acoustic_model
from facial_jax.cache import enable_compilation_cache
from facial_jax.data.tracked_clip import FILE_NAME, left_out_videos, save_reason
from facial_jax.face.procedural import procedural_face_model
from facial_jax.files import LOCK_NAME, exclusive, remove_remnants, write_text
from facial_jax.formats import NewerFormatError
from facial_jax.frame_rate import parse_frame_rate
from facial_jax.mediapipe_models import ModelMissingError
from facial_jax.tracking import track
from facial_jax.tracking.clip import check_sound, listen_again, write_tracked
from facial_jax.tracking.frames import open_frames
from facial_jax.tracking.preflight import Preflight
from facial_jax.tracking.tracker import check_crop_size

LEFT_OUT_TABLE = "left_out.tsv"


@dataclass(frozen=True)
class Preparation:
    """How videos become clips, and where."""

    output: Path
    # the folder for the clips' folders
    fps: str | None = None
    # frames per second to track at, like 25 or 30000/1001; each video's own if not given
    size: int = 512
    # height and width of the crop in pixels
    subject: str | None = None
    # who is in the videos; each its own name, or its folder's, if not given
    acoustic_model: str = field(default_factory=default_acoustic_model)
    # where the speech features come from: phonemes, bundled, deepspeech, or a file
    again: bool = False
    # track videos again that are done already
    per_frame_identity: bool = False
    # fit a shape to every frame; what is done already without is tracked again

    def __post_init__(self):
        check_crop_size(self.size)
        if self.fps is not None:
            parse_frame_rate(self.fps)


def prepare_videos(
    videos: Sequence[Video],
    how: Preparation,
    *,
    workers: int,
    beam: str,
    say: Callable[[str], None],
) -> list[tuple[str, str, str]]:
    """Tracks the person in each video; (clip, video, reason) of all in the folder without a clip.

    Args:
        videos: what is to be tracked; what is done is not done again.
        how: options, and the output folder, which must exist.
        workers: how many videos are tracked at once; more than one needs Apache Beam.
        beam: options of Apache Beam for another runner than this machine's processes.
        say: is given a line of text on each video.

    Raises:
        ImportError, ModelMissingError: no video can be tracked here.
    """
    missing = [video for video in videos if how.again or not done_before(video, how, say)]
    if len(missing) < len(videos):
        say(f"{len(videos) - len(missing)} of {len(videos)} videos were done before")
    jobs = [(video, how) for video in missing]
    if workers > 1 or beam:
        _at_once(jobs, workers, beam)
    else:
        _one_by_one(jobs, say)
    left_out = left_out_videos(how.output)
    lines = "".join(f"{video}\t{reason}\n" for _, video, reason in left_out)
    write_text(how.output / LEFT_OUT_TABLE, "video\treason\n" + lines)
    return left_out


def prepare(
    video: Video, how: Preparation, *, progress: Callable[..., Iterable] = iter
) -> Preflight:
    """Tracks one video and writes its folder; returns the report on it.

    Raises:
        ValueError: the video cannot be used; what is known of it is in its report.
    """
    frames = open_frames(video.path, fps=how.fps)
    check_sound(frames)
    (how.output / video.clip / FILE_NAME).unlink(missing_ok=True)
    tracked = track(
        frames,
        procedural_face_model(),
        size=how.size,
        per_frame_identity=how.per_frame_identity,
        progress=progress,
    )
    subject = how.subject or video.subject
    return write_tracked(
        how.output,
        tracked,
        name=video.clip,
        subject=subject,
        acoustic_model=how.acoustic_model,
    )


def done_before(video: Video, how: Preparation, say: Callable[[str], None]) -> bool:
    """Whether a sound clip of the video is there; it has the wanted acoustic model's features then.

    A damaged one is not, nor one that lacks a shape for every frame if that is wanted.

    Raises:
        NewerFormatError: a newer version has made it, which is not overwritten.
    """
    folder = how.output / video.clip
    if not (folder / FILE_NAME).exists():
        return False
    try:
        clip = listen_again(folder, how.acoustic_model)
    except NewerFormatError:
        raise
    except ValueError as error:
        say(f"{folder}: {error}")
        return False
    return clip.frame_identity is not None or not how.per_frame_identity


def prepare_or_leave_out(
    job: tuple[Video, Preparation],
    *,
    say: Callable[[str], None],
    progress: Callable[..., Iterable] = iter,
) -> Preflight | None:
    """`prepare`; if the video cannot be used, the reason in its folder and None.

    One process at a time works on a clip: another waits, and takes what the first has made.

    Raises:
        ImportError, ModelMissingError: no video can be tracked here.
        OSError: nothing can be written there.
    """
    video, how = job
    enable_compilation_cache()
    folder = how.output / video.clip
    folder.mkdir(parents=True, exist_ok=True)
    with exclusive(
        folder / LOCK_NAME, waiting=lambda: say(f"{folder}: another process is at it; waiting")
    ) as waited:
        if (waited or not how.again) and done_before(video, how, say):
            say(f"{folder}: done by another process")
            return None
        remove_remnants(folder)
        try:
            return prepare(video, how, progress=progress)
        except (ImportError, ModelMissingError):
            raise
        except (ValueError, OSError, RuntimeError) as error:
            leave_out(job, str(error))
        except Exception as error:  # one strange file must not stop the others
            traceback.print_exc()
            leave_out(job, f"{type(error).__name__}: {error}")
        say(f"{folder}: left out")
        return None


def leave_out(job: tuple[Video, Preparation], reason: str) -> None:
    """Notes why there is no clip of a video."""
    video, how = job
    save_reason(how.output, video.clip, video=str(video.path), reason=reason)


def _one_by_one(jobs: list[tuple[Video, Preparation]], say: Callable[[str], None]) -> None:
    for job in jobs:
        video, how = job
        bar = functools.partial(
            tqdm, desc=video.path.name, unit="frame", leave=False, mininterval=1.0
        )
        checked = prepare_or_leave_out(job, say=say, progress=bar)
        if checked is not None:
            say(f"{how.output / video.clip}:\n{checked.text()}")


def _in_worker(job: tuple[Video, Preparation]) -> None:
    say = functools.partial(print, flush=True)
    checked = prepare_or_leave_out(job, say=say)
    if checked is not None:
        video, how = job
        say(f"{how.output / video.clip}: done, {len(checked.problems)} remarks in it")


def _at_once(jobs: list[tuple[Video, Preparation]], workers: int, beam: str) -> None:
    try:
        from data_specs.talking_head.beam import for_each, local_options
    except ImportError as error:
        raise ImportError(
            f"workers, beam: tracking many videos at once needs Apache Beam ({error}); install it "
            "with pip install 'facial_jax[beam]', or leave these options out"
        ) from error
    options = shlex.split(beam) if beam else local_options(workers)
    for_each(_in_worker, leave_out, jobs, options)
