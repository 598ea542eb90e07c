"""How a person looks, learnt from the frames of a tracked clip that are trained on."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, UInt8

from facial_jax.appearance import Appearance
from facial_jax.attributes import Attributes
from facial_jax.compilation import in_batches, jit
from facial_jax.data.clips import Clip
from facial_jax.face.procedural import procedural_face_model
from facial_jax.gaze import Eyes, gaze_habits
from facial_jax.models.rendering_to_video.conditioning import (
    Scene,
    conditioning_pictures,
    make_scene,
)
from facial_jax.models.rendering_to_video.reference import unit_range_to_uint8
from facial_jax.personalization.clip import neutral_shape
from facial_jax.rendering.surroundings import SurroundingsMotion, usual_motion
from facial_jax.tracking.displacement import further_displacement, no_displacement
from facial_jax.tracking.gaze import video_irises
from facial_jax.tracking.inner_mouth import video_inner_mouth
from facial_jax.tracking.surroundings import (
    MAX_FRAMES_OF_CHANGES,
    changing_surroundings,
    covered_by_head,
    cropped_to_head,
    surroundings_frames,
    video_surroundings,
)
from facial_jax.tracking.sway import (
    below_chin,
    further_sway,
    no_sway,
    room_sway,
    steadied,
    steadied_mask,
    whole_grid,
    with_sway,
)
from facial_jax.tracking.texture import (
    blinking_frames,
    changing_texture,
    open_eyes,
    texture_frames,
)

_ROUNDS = 2
"""How often frames are compared with what is shown."""
_BATCH = 8


def telling_frames(clip: Clip, trained: Int[np.ndarray, "n"]) -> Int[np.ndarray, "k"]:
    """Numbers of those of the trained frames that tell the face's texture best, rising."""
    blink = clip.blink[trained]
    return trained[np.union1d(texture_frames(blink), blinking_frames(blink))]


def learn_appearance(
    clip: Clip,
    trained: Int[np.ndarray, "n"],
    frames: UInt8[np.ndarray, "n h w 3"],
    telling: UInt8[np.ndarray, "k s s 3"],
    *,
    own_mouth: bool = False,
) -> Appearance:
    """The person's appearance.

    Args:
        clip: what was tracked in the video.
        trained: numbers of the frames that may be looked at.
        frames: these, at the size at which frames are to be made.
        telling: those of `telling_frames`, as large as they were tracked.
        own_mouth: the face model's teeth and tongue are the person's, so that nothing is drawn over
            them.
    """
    model, identity = procedural_face_model(), jax.tree.map(jnp.asarray, clip.face)
    mouth = None
    if not own_mouth:
        mouth = video_inner_mouth(model, identity, clip.attributes[trained], frames)
    numbers = telling_frames(clip, trained)
    attributes, gaze, eyes = clip.attributes[numbers], None, None
    if clip.gaze is not None:
        gaze, looks = clip.gaze[numbers], clip.gaze[trained].mean(axis=1)
        usual = np.median(looks, axis=0)
        opened = open_eyes(attributes.blink)
        of_open = attributes[opened], gaze[opened], telling[opened]
        irises = video_irises(model, identity, *of_open, usual_gaze=usual)
        eyes = Eyes(irises, gaze_habits(looks, clip.pose[trained], clip.frame_rate))
    texture, changes = changing_texture(
        model, identity, attributes, telling, gaze=gaze, own_mouth=own_mouth
    )
    face = Appearance(vertex_texture=texture, texture_changes=changes, eyes=eyes, inner_mouth=mouth)
    # Only these are read: long clips are views of files.
    seen = surroundings_frames(len(trained), MAX_FRAMES_OF_CHANGES)
    return _with_surroundings(face, clip, trained[seen], np.stack(frames[seen]))


def _with_surroundings(
    face: Appearance,
    clip: Clip,
    numbers: Int[np.ndarray, "n"],
    frames: UInt8[np.ndarray, "n h w 3"],
) -> Appearance:
    """The same with what is around the face.

    At first as if nothing were displaced. What is then shown is compared with the frames, and the
    surroundings are found again, as it says.
    """
    attributes, size = clip.attributes[numbers], frames.shape[1:3]
    pose, shape = attributes.pose, neutral_shape(clip.face)
    model, identity = procedural_face_model(), jax.tree.map(jnp.asarray, clip.face)
    fewer = surroundings_frames(len(frames))
    around = video_surroundings(shape, pose[fewer], frames[fewer])
    around = changing_surroundings(around, pose, frames)
    displacement, sway = no_displacement(len(frames)), no_sway(len(frames))
    share = below_chin(shape, pose.mean(axis=0), size)
    for _ in range(_ROUNDS):
        scene = make_scene(model, identity, size, face.replace(surroundings=around))
        shown = shown_pictures(scene, attributes, SurroundingsMotion(displacement, sway))
        displacement = further_displacement(displacement, around, pose, shown, frames)
        sway = room_sway(frames, covered_by_head(around, pose, size, displacement), share, sway)
        around = video_surroundings(
            shape,
            pose[fewer],
            frames[fewer],
            height=np.asarray(around.height),
            displacement=displacement[fewer],
            sway=sway[fewer],
        )
        around = changing_surroundings(around, pose, frames, displacement=displacement, sway=sway)
    return face.replace(surroundings=cropped_to_head(with_sway(around, sway, pose)))


def motion_in_frames(
    face: Appearance,
    clip: Clip,
    numbers: Int[np.ndarray, "n"],
    frames: UInt8[np.ndarray, "n h w 3"],
) -> SurroundingsMotion:
    """How the person's head and body are displaced in these very frames.

    Args:
        face: how the person looks, with surroundings and their changes.
        clip: what was tracked in the video.
        numbers: of the frames in the clip.
        frames: these.
    """
    attributes, around = clip.attributes[numbers], face.surroundings
    pose, size = attributes.pose, frames.shape[1:3]
    model, identity = procedural_face_model(), jax.tree.map(jnp.asarray, clip.face)
    scene = make_scene(model, identity, size, face)
    usual = jax.tree.map(np.asarray, usual_motion(around, pose))
    displacement, sway = usual.displacement, usual.sway
    share = below_chin(neutral_shape(clip.face), around.changes.mean, size)
    for _ in range(_ROUNDS):
        shown = shown_pictures(scene, attributes, SurroundingsMotion(displacement, sway))
        if sway is not None:
            covered, whole = covered_by_head(around, pose, size, displacement), whole_grid(sway)
            shown_steady, steady = (steadied(x, whole) for x in (shown, frames))
            hidden = steadied_mask(covered, whole)
            whole = further_sway(whole, share, shown_steady, steady, hidden)
            # What stands still in all frames does so in these.
            sway = whole[:, -sway.shape[1] :] * around.changes.sway.any(axis=(0, 3))[..., None]
        displacement = further_displacement(displacement, around, pose, shown, frames)
    return SurroundingsMotion(displacement, sway)


def shown_pictures(
    scene: Scene,
    attributes: Attributes,
    motion: SurroundingsMotion | None = None,
) -> UInt8[np.ndarray, "t h w 3"]:
    """What a network is shown of frames, without the attention map; see `conditioning_pictures`."""

    def draw(index):
        return _draw(scene, attributes[index], jax.tree.map(lambda x: x[index], motion))

    return in_batches(draw, len(attributes), _BATCH)


@jit
def _draw(
    scene: Scene,
    attributes: Attributes,
    motion: SurroundingsMotion | None,
) -> UInt8[Array, "t h w 3"]:
    pictures = conditioning_pictures(scene, attributes, motion)[..., :3]
    return unit_range_to_uint8(pictures)
