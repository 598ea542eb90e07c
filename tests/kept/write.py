"""Writes the subject `format_1` beside this file, for later versions to load.

    python -m tests.kept.write

Not to be done again: what lies there shows that folders of older versions still load. A later
format gets another folder.
"""

from fractions import Fraction
from pathlib import Path

import jax
import numpy as np

from facial_jax.attributes import AttributeStatistics, Identity
from facial_jax.audio.acoustic import BUNDLED, acoustic_model_hash, load_acoustic_model
from facial_jax.face.procedural import procedural_face_model
from facial_jax.full_frame import save_full_frame_reference
from facial_jax.models.facial_gan.blinking import BlinkHabits
from facial_jax.models.facial_gan.generation import FacialGan
from facial_jax.models.facial_gan.network import FacialGenerator
from facial_jax.models.rendering_to_video.network import LocalEnhancer
from facial_jax.subject import FORMAT, Subject, save_subject

FOLDER = Path(__file__).parent / f"format_{FORMAT}"
FPS, SIZE = Fraction(25), 32


def draw(rng: np.random.Generator, module, *inputs):
    """Random variables of a network that float16 holds exactly."""
    shapes = jax.eval_shape(module.init, jax.random.key(0), *inputs)
    return jax.tree.map(
        lambda x: rng.uniform(0.1, 0.3, x.shape).astype(np.float16).astype(np.float32), shapes
    )


def make_subject() -> Subject:
    """The smallest networks; all that a folder can hold but a texture, which is not small."""
    rng = np.random.default_rng(0)
    features = load_acoustic_model(BUNDLED).feature_count
    generator = FacialGenerator(
        temporal_features=(1, 1, 1, 1),
        unet_features=(1,),
        fusion_features=(1,),
        latent_size=1,
        local_features=(1,),
    )
    f32 = np.float32
    speech = jax.ShapeDtypeStruct((1, 128, 16, features), f32)
    numbers = np.linspace(0, 1, 71, dtype=np.float16).astype(f32)
    model = FacialGan(
        variables=draw(rng, generator, speech, jax.ShapeDtypeStruct((1, 71), f32)),
        statistics=AttributeStatistics(mean=numbers, std=numbers + 1),
        initial_state=-numbers,
        generator=generator,
        blink_habits=BlinkHabits(
            shape=f32([1, 4, 1]), interval=f32([50, 150]), rest=f32(0.25), level=f32(0.5)
        ),
    )
    enhancer = LocalEnhancer(width=1, downsamplings=0, blocks=0, local_blocks=0, kernel_size=3)
    window = jax.ShapeDtypeStruct((1, SIZE, SIZE, 8), f32)
    return Subject(
        name="kept",
        fps=FPS,
        size=SIZE,
        identity=Identity(
            identity=np.linspace(-1, 1, 80, dtype=f32),
            texture=np.linspace(1, -1, 80, dtype=f32),
            illumination=np.ones((3, 9), f32),
        ),
        face_model=procedural_face_model(),
        facial_gan=model,
        rendering_to_video=enhancer,
        rendering_to_video_params=draw(rng, enhancer, window)["params"],
        acoustic_model=BUNDLED,
        acoustic_sha256=acoustic_model_hash(BUNDLED),
    )


if __name__ == "__main__":
    save_subject(FOLDER, make_subject(), face_model="procedural")
    frames = [np.full((48, 64, 3), 40 * i, np.uint8) for i in range(3)]
    poses = np.tile(np.float32([0.1, 0, 0, 0, 0, 0]), (3, 1))
    save_full_frame_reference(FOLDER, frames, fps=FPS, crop=(8, 4, 40), pose=poses)
