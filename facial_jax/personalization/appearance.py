"""How a person looks, learnt from the frames of a tracked clip that are trained on."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int, UInt8

from facial_jax.appearance import Appearance
from facial_jax.data.clips import Clip
from facial_jax.face.procedural import procedural_face_model
from facial_jax.gaze import Eyes, gaze_habits
from facial_jax.personalization.clip import neutral_shape
from facial_jax.tracking.gaze import video_irises
from facial_jax.tracking.inner_mouth import video_inner_mouth
from facial_jax.tracking.surroundings import (
    MAX_FRAMES_OF_CHANGES,
    changing_surroundings,
    surroundings_frames,
    video_surroundings,
)
from facial_jax.tracking.texture import changing_texture, texture_frames


def telling_frames(clip: Clip, trained: Int[np.ndarray, "n"]) -> Int[np.ndarray, "k"]:
    """Numbers of those of the trained frames that tell the face's texture best, rising."""
    return np.sort(trained[texture_frames(clip.blink[trained])])


def learn_appearance(
    clip: Clip,
    trained: Int[np.ndarray, "n"],
    frames: UInt8[np.ndarray, "n h w 3"],
    telling: UInt8[np.ndarray, "k s s 3"],
) -> Appearance:
    """The person's appearance.

    Args:
        clip: what was tracked in the video.
        trained: numbers of the frames that may be looked at.
        frames: these, at the size at which frames are to be made.
        telling: those of `telling_frames`, as large as they were tracked.
    """
    model, identity = procedural_face_model(), jax.tree.map(jnp.asarray, clip.face)
    seen = surroundings_frames(len(trained))
    pose = clip.pose[trained]
    # Only these are read: long clips are views of files.
    around = video_surroundings(neutral_shape(clip.face), pose[seen], np.stack(frames[seen]))
    seen = surroundings_frames(len(trained), MAX_FRAMES_OF_CHANGES)
    around = changing_surroundings(around, pose[seen], frames[seen])
    mouth = video_inner_mouth(model, identity, clip.attributes[trained], frames)
    numbers = telling_frames(clip, trained)
    attributes, gaze, eyes = clip.attributes[numbers], None, None
    if clip.gaze is not None:
        gaze, looks = clip.gaze[numbers], clip.gaze[trained].mean(axis=1)
        usual = np.median(looks, axis=0)
        irises = video_irises(model, identity, attributes, gaze, telling, usual_gaze=usual)
        eyes = Eyes(irises, gaze_habits(looks, pose, clip.frame_rate))
    texture, changes = changing_texture(model, identity, attributes, telling, gaze=gaze)
    return Appearance(
        vertex_texture=texture,
        texture_changes=changes,
        surroundings=around,
        eyes=eyes,
        inner_mouth=mouth,
    )
