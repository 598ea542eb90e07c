"""The third stage: rendering-to-video learns the person's pictures."""

import dataclasses
from pathlib import Path

import av
import jax
import numpy as np
from jaxtyping import Int, UInt8

from facial_jax.appearance import Appearance
from facial_jax.compilation import in_batches
from facial_jax.data.clips import Clip
from facial_jax.files import whole_or_nothing
from facial_jax.models.rendering_to_video.config import RenderingToVideoTrainingConfig
from facial_jax.models.rendering_to_video.reference import save_motion, save_parts
from facial_jax.personalization.appearance import (
    learn_appearance,
    motion_in_frames,
    telling_frames,
)
from facial_jax.personalization.clip import CROP, shown_frames
from facial_jax.personalization.config import PersonalizationConfig
from facial_jax.pictures import resize
from facial_jax.rendering.surroundings import SurroundingsMotion, usual_motion

_AT_ONCE = 64
"""Frames in which motion is sought together."""


def held_out_config(
    config: PersonalizationConfig, clip: Clip, first: int, further: int = 0
) -> RenderingToVideoTrainingConfig:
    """The training's, its held-out part beginning at frame `first`; before the clip's frames it is
    shown `further` ones of other clips."""
    shown = shown_frames(clip, first)
    share = float((shown >= first).sum() / (further + len(shown)))
    return dataclasses.replace(config.video_training, held_out_fraction=share)


def write_frames(config: PersonalizationConfig, clip: Clip, first: int, data: Path) -> None:
    """The folder that rendering-to-video is trained on, as `load_reference` reads it."""
    shown = shown_frames(clip, first)
    trained = shown[shown < first]
    telling = set(telling_frames(clip, trained).tolist())
    whole, place = [], {number: i for i, number in enumerate(shown.tolist())}
    frames = np.lib.format.open_memmap(
        data / "frames.npy", "w+", np.uint8, (len(shown), config.size, config.size, 3)
    )
    with av.open(str(config.work / "tracked" / clip.clip / CROP)) as container:
        for number, decoded in enumerate(container.decode(video=0)):
            frame = decoded.to_ndarray(format="rgb24")
            if number in place:
                frames[place[number]] = resize(frame, config.size)
            if number in telling:
                whole.append(frame)
    frames.flush()
    appearance = learn_appearance(clip, trained, frames[: len(trained)], np.stack(whole))
    save_parts(data, appearance)
    save_motion(data, _motion(appearance, clip, trained, shown[shown >= first], frames))
    starts = np.flatnonzero(np.diff(shown, prepend=-2) != 1).astype(np.int32)
    attributes = clip.attributes[shown]
    names = ("expression", "pose", "blink") + (() if clip.gaze is None else ("gaze",))
    rows = {name: getattr(attributes, name) for name in names}
    rows |= {name: getattr(clip, name) for name in ("identity", "texture", "illumination")}
    rows |= {"clip_starts": starts, "vertex_texture": appearance.vertex_texture}
    with whole_or_nothing(data / "attributes.npz") as partial:
        np.savez(partial, **rows)


def _motion(
    appearance: Appearance,
    clip: Clip,
    trained: Int[np.ndarray, "n"],
    held_out: Int[np.ndarray, "m"],
    frames: UInt8[np.ndarray, "n_and_m h w 3"],
) -> SurroundingsMotion:
    """Head and body as each frame that is trained on shows them, and where they usually are in the
    others."""

    def find(index):
        return motion_in_frames(appearance, clip, trained[index], np.asarray(frames[index]))

    shown = in_batches(find, len(trained), _AT_ONCE)
    usual = usual_motion(appearance.surroundings, clip.pose[held_out])
    return jax.tree.map(lambda *x: np.concatenate(x), shown, usual)
