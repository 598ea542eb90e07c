"""Videos of people in, tracked clips out: python -m experiments.prepare VIDEO… --output DIR.

For each video a folder of its name: `video.mp4` (the crop that the clip's poses are for),
`report.html` and `report.txt`, and last `clip.npz` (see `facial_jax.data.tracked_clip`): if it is
there, the clip is whole. Videos that cannot be used are listed with the reason in `left_out.tsv`.
Started again after a stop, it does what is missing.

Folders of thousands of videos are spread over processes by Apache Beam, on this machine or, with
Beam's options, on any of its runners; all workers must see videos and output:

    python -m experiments.prepare FOLDER --output DIR --workers 16 --data-set runs/data
    python -m experiments.prepare FOLDER --output DIR --beam="--runner=FlinkRunner …"
"""

import sys
from dataclasses import dataclass, field
from pathlib import Path

import tyro
from tqdm import tqdm

from data_specs.talking_head.prepare import Preparation, prepare_videos
from data_specs.talking_head.videos import find_videos
from experiments import GIVEN_ERRORS, ends_in_one_line
from facial_jax.audio.acoustic import default_acoustic_model, load_acoustic_model


@dataclass(frozen=True)
class Arguments:
    """Tracks the person in each video."""

    videos: tyro.conf.Positional[tuple[Path, ...]]
    """The videos, and folders of them; in a folder, FOLDER/PERSON/… are of one person."""
    output: Path
    """The folder for the clips' folders."""
    fps: str | None = None
    """Frames per second to track at, like 25 or 30000/1001; each video's own if not given."""
    size: int = 512
    """Height and width of the crop in pixels."""
    subject: str | None = None
    """Who is in the videos; each its own name, or its folder's, if not given."""
    acoustic_model: str = field(default_factory=default_acoustic_model)
    """Where the speech features come from: phonemes, bundled, deepspeech, or a file. Clips that are
    done already get this one's without being tracked again."""
    again: bool = False
    """Track videos again that are done already."""
    per_frame_identity: bool = False
    """Fit a face shape to every frame, as PGFace learns it."""
    workers: int = 1
    """How many videos are tracked at once; more than one needs Apache Beam."""
    beam: str = ""
    """Options of Apache Beam for another runner than this machine's processes."""
    data_set: Path | None = None
    """Where data sets are, to make one of all clips in the output folder."""


def main(arguments: Arguments) -> None:
    """Prepares all videos; ends with 1 if one was left out."""
    message = "started again, it goes on with the video that it was at"
    with ends_in_one_line(message, GIVEN_ERRORS):
        how = Preparation(
            output=arguments.output,
            fps=arguments.fps,
            size=arguments.size,
            subject=arguments.subject,
            acoustic_model=arguments.acoustic_model,
            again=arguments.again,
            per_frame_identity=arguments.per_frame_identity,
        )
        videos = find_videos(arguments.videos, output=arguments.output)
        load_acoustic_model(arguments.acoustic_model)
        arguments.output.mkdir(parents=True, exist_ok=True)
        left_out = prepare_videos(
            videos, how, workers=arguments.workers, beam=arguments.beam, say=tqdm.write
        )
    for _, video, reason in left_out:
        tqdm.write(f"left out {video}: {reason}")
    if arguments.data_set is not None:
        from data_specs.talking_head.builder import build_talking_head

        try:
            print(build_talking_head(arguments.output, arguments.data_set)[0])
        except (FileNotFoundError, ValueError) as error:
            sys.exit(f"error: {error}")
    if {clip for clip, *_ in left_out} & {video.clip for video in videos}:
        sys.exit(1)


if __name__ == "__main__":
    main(tyro.cli(Arguments))
