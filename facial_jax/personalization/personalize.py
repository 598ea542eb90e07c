"""A person from one video, in one call."""

import dataclasses
import html
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facial_jax.cache import enable_compilation_cache
from facial_jax.subject import Subject, load_subject


@dataclass(frozen=True)
class Personalization:
    """What `personalize` made."""

    subject: Subject
    # the person, as `facial_jax.synthesize` takes it
    folder: Path
    # of the subject; loads with `facial_jax.load_subject`
    report: Path | None
    # an HTML page on what was learnt; None if nothing was evaluated

    def _repr_html_(self) -> str:
        """The report, in a notebook."""
        if self.report is None:
            return f"<p>{html.escape(self.subject.name)} in {html.escape(str(self.folder))}</p>"
        page = html.escape(self.report.read_text(encoding="utf-8"))
        return f'<iframe srcdoc="{page}" width="100%" height="800"></iframe>'


def personalize(
    video: str | os.PathLike | Sequence[str | os.PathLike],
    *,
    subject: str,
    preset: str = "demo",
    say: Callable[[str], None] | None = None,
    progress: bool = True,
    **options: Any,
) -> Personalization:
    """Learns a person from a video, or several (FACIAL, Sec. 5.1), in stages that are kept.

    Called again with the same options it continues, or returns the finished result.
    Needs the extra `tracking`.

    Args:
      video: the person talking, one face seen from the front; 20 seconds or more are best. Of
        several, the first shows the person where they will be seen.
      subject: the person's name.
      preset: "demo", for two CPU cores, or "paper", as published, for a GPU.
      say: is given a line of text on each stage; by default nothing is said.
      progress: show progress bars.
      options: fields of `facial_jax.personalization.config.PersonalizationConfig` in place of the
        preset's, such as `size`, `output`, `work_dir` or `skip`.

    Raises:
      FileNotFoundError: there is no such video.
      ValueError: there is no face in it, or it is too short; the preset is not known.
      BlockingIOError: another process is at work in the run's folder or the subject's.
      TypeError: an option is not known.
      ImportError, ModelMissingError: it cannot be tracked here.
    """
    # Imported here: synthesis does without what trainings and tracking need.
    try:
        from facial_jax.personalization.config import PRESETS
        from facial_jax.personalization.pipeline import personalize_video
        from facial_jax.training.progress import silent
    except ImportError as error:
        raise ImportError(
            f"personalize: {error}; install what it needs with pip install 'facial_jax[tracking]'"
        ) from error
    if preset not in PRESETS:
        raise ValueError(f"preset: expected one of {', '.join(PRESETS)}, got {preset!r}")
    enable_compilation_cache()
    paths = {
        name: Path(options[name])
        for name in ("general", "rendering_to_video", "output", "work_dir")
        if options.get(name) is not None
    }
    config = dataclasses.replace(PRESETS[preset], subject=subject, **(options | paths))
    first, *further = [video] if isinstance(video, str | os.PathLike) else video
    folder = personalize_video(
        Path(first), config, further=[*map(Path, further)], say=say or silent, progress=progress
    )
    report = folder / "report.html"
    return Personalization(load_subject(folder), folder, report if report.is_file() else None)
