"""The third stage: rendering-to-video learns the person's pictures."""

import dataclasses
from pathlib import Path

import av
import jax
import jax.numpy as jnp
import numpy as np

from facial_jax.data.clips import Clip
from facial_jax.face.procedural import procedural_face_model
from facial_jax.files import whole_or_nothing
from facial_jax.gaze import Eyes, gaze_habits
from facial_jax.models.rendering_to_video.config import RenderingToVideoTrainingConfig
from facial_jax.models.rendering_to_video.reference import save_parts
from facial_jax.personalization.clip import CROP, neutral_shape, shown_frames
from facial_jax.personalization.config import PersonalizationConfig
from facial_jax.pictures import resize
from facial_jax.tracking.gaze import video_irises
from facial_jax.tracking.inner_mouth import video_inner_mouth
from facial_jax.tracking.surroundings import (
    MAX_FRAMES_OF_CHANGES,
    changing_surroundings,
    surroundings_frames,
    video_surroundings,
)
from facial_jax.tracking.texture import changing_texture, texture_frames


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
    telling = set(shown[texture_frames(clip.blink[shown[shown < first]])].tolist())
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
    trained = np.flatnonzero(shown < first)
    looked_at = trained[surroundings_frames(len(trained))]
    model = procedural_face_model()
    pose = clip.pose[shown[looked_at]]
    around = video_surroundings(neutral_shape(clip.face), pose, np.stack(frames[looked_at]))
    looked_at = trained[surroundings_frames(len(trained), MAX_FRAMES_OF_CHANGES)]
    around = changing_surroundings(around, clip.pose[shown[looked_at]], frames[looked_at])
    identity = jax.tree.map(jnp.asarray, clip.face)
    # A view: long clips are not read whole.
    begun = frames[: len(trained)]
    mouth = video_inner_mouth(model, identity, clip.attributes[shown[trained]], begun)
    seen, gaze, eyes = clip.attributes[sorted(telling)], None, None
    if clip.gaze is not None:
        gaze = clip.gaze[sorted(telling)]
        looks = clip.gaze[shown[trained]].mean(axis=1)
        usual = np.median(looks, axis=0)
        irises = video_irises(model, identity, seen, gaze, np.stack(whole), usual_gaze=usual)
        habits = gaze_habits(looks, clip.pose[shown[trained]], clip.frame_rate)
        eyes = Eyes(irises, habits)
    texture, changes = changing_texture(model, identity, seen, np.stack(whole), gaze=gaze)
    save_parts(data, surroundings=around, eyes=eyes, inner_mouth=mouth, texture_changes=changes)
    starts = np.flatnonzero(np.diff(shown, prepend=-2) != 1).astype(np.int32)
    attributes = clip.attributes[shown]
    names = ("expression", "pose", "blink") + (() if clip.gaze is None else ("gaze",))
    rows = {name: getattr(attributes, name) for name in names}
    face = {name: getattr(clip, name) for name in ("identity", "texture", "illumination")}
    with whole_or_nothing(data / "attributes.npz") as partial:
        np.savez(partial, clip_starts=starts, vertex_texture=texture, **rows, **face)
