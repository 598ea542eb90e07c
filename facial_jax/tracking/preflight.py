"""Is a clip good enough to learn from? Measured before any training, said plainly."""

from dataclasses import dataclass

import numpy as np

from facial_jax.tracking.shots import is_still
from facial_jax.tracking.speech_sync import (
    lip_lag,
    mouth_opening,
    sure_correlation,
    voice_energy,
)
from facial_jax.tracking.tracker import TrackedVideo

MIN_FRAMES = 128  # one window of FACIAL-GAN
GOOD_LENGTH_S = 60.0
MIN_FACE_SHARE = 0.99
MIN_HEAD_PX = 128
MAX_LAG_S = 0.1
NO_CORRELATION = 0.08
QUIET_DBFS = -45.0
MAX_FIT_ERROR = 0.03
BLINK_INTENSITY = 2.0
CAMERA_MOTION = 0.02
FEW_BLINKS_PER_MINUTE = 2.0


@dataclass(frozen=True)
class Preflight:
    """What is known about a clip, and what is wrong with it."""

    facts: tuple[tuple[str, str], ...]
    # (what, value) for people
    problems: tuple[str, ...]
    # what is wrong and what to do, one sentence each; none if the clip is good
    opening: np.ndarray
    # (t,) detected mouth opening over the eyes' distance
    voice: np.ndarray | None
    # (t,) log energy of the voice

    def text(self) -> str:
        """The report as lines of text."""
        width = max(len(what) for what, _ in self.facts)
        lines = [f"{what:<{width}}  {value}" for what, value in self.facts]
        lines += [""] + [f"! {problem}" for problem in self.problems]
        return "\n".join(lines + (["nothing is wrong with this clip"] * (not self.problems))) + "\n"


def preflight(tracked: TrackedVideo) -> Preflight:
    """Measures a tracked clip; reads its sound once."""
    fps, t = float(tracked.fps), len(tracked)
    facts, problems = [], []

    def fact(what, value, problem=None):
        facts.append((what, value))
        if problem:
            problems.append(problem)

    fact(
        "length",
        f"{t} frames, {t / fps:.2f} s",
        f"The clip has {t} frames: a window of training has {MIN_FRAMES}. Give a longer one."
        if t < MIN_FRAMES
        else f"The clip lasts {t / fps:.0f} s: a person is learnt well from a minute or more."
        if t / fps < GOOD_LENGTH_S
        else None,
    )
    rate = f"{fps:.3f}".rstrip("0").rstrip(".")
    steady = "" if tracked.video.constant_rate else ", made constant from a varying one"
    fact("frame rate", f"{rate} per second{steady}")
    height, width = tracked.video.size
    fact("picture", f"{width} × {height} pixels, crop of {tracked.crop.side} to {tracked.size}")
    for remark in tracked.video.remarks():
        fact(*remark)
    _duration(tracked, fact)
    _faces(tracked, fact)
    moving = float(np.mean(tracked.border_changes > CAMERA_MOTION)) if t > 1 else 0.0
    fact(
        "camera motion",
        f"the background changes in {100 * moving:.0f} % of the frames",
        "The background moves: put the camera on a stand; the network must learn it otherwise."
        if moving > 0.1
        else None,
    )
    opening = np.where(tracked.seen, mouth_opening(tracked.landmarks), np.nan)
    voice = _sound(tracked, opening, fact)
    _fit(tracked, fact)
    if is_still(tracked.changes):
        fact("motion", "none", "Nothing moves: this is a still picture. Give a video.")
    return Preflight(tuple(facts), tuple(problems), opening, voice)


def _duration(tracked, fact):
    promised, fps = tracked.video.duration_s, float(tracked.fps)
    lost = promised is not None and promised - tracked.frame_count / fps
    if lost and lost > max(1.0, 0.05 * promised):
        fact(
            "damage",
            f"{tracked.frame_count / fps:.1f} s of {promised:.1f} s can be read",
            "The file is cut off or damaged: only its first part was used. Copy it again.",
        )
    cuts = ", ".join(f"{c / fps:.2f} s" for c in tracked.cuts)
    used = f"{tracked.start / fps:.2f}–{(tracked.start + len(tracked)) / fps:.2f} s"
    fact(
        "cuts",
        cuts or "none",
        f"There are cuts (at {cuts}): only the shot with most of the face was used, {used}. Cut "
        "the others into files of their own."
        if tracked.cuts
        else None,
    )


def _faces(tracked, fact):
    share = float(tracked.seen.mean())
    unseen = np.flatnonzero(~tracked.seen)
    first = (
        f" (first at {(tracked.start + unseen[0]) / float(tracked.fps):.2f} s)"
        if len(unseen)
        else ""
    )
    fact(
        "frames with a face",
        f"{100 * share:.1f} %, {100 * float(tracked.valid.mean()):.1f} % with short gaps bridged",
        f"The face is not seen in {len(unseen)} of {len(tracked)} frames{first}; those further "
        "than 0.4 s from it are marked and not learnt from. Keep the face in the picture."
        if share < MIN_FACE_SHARE
        else None,
    )
    several = tracked.face_count > 1 or tracked.other_face_share > 0.02
    fact(
        "faces",
        f"{tracked.face_count}, others in {100 * tracked.other_face_share:.0f} % of the frames",
        "There is more than one person: the larger face was followed. Crop the others away."
        if several
        else None,
    )
    points = tracked.landmarks * (tracked.crop.side / tracked.size)
    head = float(np.nanmedian(np.ptp(points[..., 0], axis=1))) if share else 0.0
    fact(
        "face width",
        f"{head:.0f} pixels",
        f"The face is {head:.0f} pixels wide: come nearer or film at a higher resolution, for "
        f"{MIN_HEAD_PX} or more."
        if head < MIN_HEAD_PX
        else None,
    )


def _sound(tracked, opening, fact):
    source = tracked.video.sound
    if source is None:
        fact("sound", "none", "There is no sound: nothing can be learnt about speech.")
        return None
    try:
        voice = voice_energy(source, tracked.fps, tracked.start, len(tracked))
        total, peak, count = 0.0, 0.0, 0
        for block in source.blocks(None):
            total += float((block.astype(np.float64) ** 2).sum())
            peak, count = max(peak, float(np.abs(block).max())), count + block.size
    except ValueError as error:
        fact("sound", "damaged", f"The sound cannot be read: {error}.")
        return None
    if source.remark:
        fact(
            "damage", source.remark, "Some of the sound is missing: copy or export the file again."
        )
    level = 10 * np.log10(total / max(count, 1) + 1e-12)
    fact(
        "sound level",
        f"{level:.0f} dBFS, peak {20 * np.log10(peak + 1e-9):.0f} dBFS",
        f"The sound is very quiet ({level:.0f} dBFS): record it louder."
        if level < QUIET_DBFS
        else "The sound is overdriven: record it softer."
        if peak >= 1.0 and level > -12
        else None,
    )
    lag, correlation = lip_lag(opening, voice, tracked.seen, tracked.fps)
    seconds = len(tracked) / float(tracked.fps)
    sure = correlation >= sure_correlation(seconds)
    late = "the lips are late" if lag > 0 else "the lips are early"
    fact(
        "sound and lips",
        f"{1000 * lag:+.0f} ms (correlation {correlation:.2f})" if sure else "cannot be told",
        f"Sound and lips are {abs(1000 * lag):.0f} ms apart ({late}): shift the sound."
        if sure and abs(lag) > MAX_LAG_S
        else "The mouth does not move with the voice: is it this person who speaks?"
        if correlation < NO_CORRELATION and seconds > GOOD_LENGTH_S / 2
        else None,
    )
    return voice


def _fit(tracked, fact):
    closed = tracked.attributes.blink > BLINK_INTENSITY
    blinks = int((closed[1:] & ~closed[:-1]).sum())
    minutes = len(tracked) / float(tracked.fps) / 60
    fact(
        "blinks",
        f"{blinks}, {blinks / minutes:.0f} a minute",
        "The person hardly blinks here: blinks will not be learnt."
        if minutes > 0.25 and blinks / minutes < FEW_BLINKS_PER_MINUTE
        else None,
    )
    error = float(np.nanmean(tracked.fit_error))
    fact(
        "fit",
        f"landmarks within {100 * error:.1f} % of the distance between the eyes' outer corners",
        f"The face model fits badly ({100 * error:.1f} %, expected {100 * MAX_FIT_ERROR:.0f} %): "
        "is the face turned far away, or covered?"
        if error > MAX_FIT_ERROR
        else None,
    )
    before, after = tracked.photometric_error
    fact("colours", f"mean difference {before:.3f} with the mean face's, {after:.3f} fitted")
