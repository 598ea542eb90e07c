"""Measures videos of talking people as the field does, and makes a page that shows it.

    python -m experiments.evaluate --video A.mp4 --reference B.mp4 --output FOLDER

`--video` alone is measured by itself; with `--reference`, the real video, beside that one.
`--subject demo --reference B.mp4` first lets the subject say what is said in B. `--pairs FOLDER`
has folders in it, each with `video.mp4` and `reference.mp4`. The table is printed, and written as
`evaluation.json` beside `report.html`. Measures of pictures come by two protocols: *whole*, all
pixels generated, and *pasted*, the generated face over the real frame.
"""

import functools
from dataclasses import dataclass
from pathlib import Path

import tyro
from tqdm import tqdm

from facial_jax.cache import enable_compilation_cache
from facial_jax.evaluation import evaluate
from facial_jax.evaluation.measures import Given
from facial_jax.evaluation.report import PAGE, text_table


@dataclass(frozen=True)
class Arguments:
    """What is measured."""

    output: Path
    """The folder of the report."""
    video: Path | None = None
    """The video, generated or not."""
    reference: Path | None = None
    """The real video."""
    subject: str | None = None
    """A bundled subject's name or a subject's folder, in place of a video."""
    pairs: Path | None = None
    """A folder of pairs."""
    syncnet: Path | None = None
    """syncnet_v2.model, for SyncNet's AV offset, LSE-D and LSE-C."""
    vgg: Path | None = None
    """torchvision's vgg19 weights, for the perceptual distance; random ones without."""


def main(arguments: Arguments) -> None:
    """Measures, prints the table and says where the page is."""
    given = Given(syncnet=arguments.syncnet, vgg=arguments.vgg)
    bar = functools.partial(tqdm, desc="tracking", unit="frame", mininterval=1.0, leave=False)
    options = {"given": given, "progress": bar}
    asked = sum(x is not None for x in (arguments.video, arguments.subject, arguments.pairs))
    if asked != 1 or (arguments.subject and arguments.reference is None):
        raise SystemExit(
            "error: give --video, alone or with --reference, or --subject with --reference, or "
            "--pairs"
        )
    if arguments.pairs is not None:
        pairs = evaluate.find_pairs(arguments.pairs)
        rows = evaluate.evaluate_pairs(pairs, arguments.output, say=print, **options)
        print(f"means of {len(pairs)} pairs\n{text_table(rows)}")
        return
    if arguments.subject is not None:
        evaluation = evaluate.evaluate_subject(
            arguments.subject, arguments.reference, arguments.output, **options
        )
    elif arguments.reference is not None:
        evaluation = evaluate.evaluate_pair(
            arguments.video, arguments.reference, arguments.output, **options
        )
    else:
        evaluation = evaluate.evaluate_video(arguments.video, arguments.output, **options)
    print(text_table(evaluation.rows))
    print("\n".join((*evaluation.notes, *evaluation.missing)))
    print(arguments.output / PAGE)


if __name__ == "__main__":
    enable_compilation_cache()
    main(tyro.cli(Arguments, description=__doc__))
