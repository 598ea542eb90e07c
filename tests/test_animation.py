"""Speech becomes an animated head, by either paper's networks."""

import dataclasses
import os
import wave
from fractions import Fraction

import av
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import facial_jax
from experiments import animate_head, synthesize
from facial_jax.animation import AnimatedHead, animate
from facial_jax.attributes import Attributes
from facial_jax.audio.waveform import AudioSource
from facial_jax.face.procedural.lids import lid_closing
from facial_jax.models.facial_gan.generation import WINDOW_FRAMES
from facial_jax.models.pose_gan.generation import WINDOW_FRAMES as POSE_WINDOW_FRAMES
from facial_jax.rendering.camera import (
    camera_vertices,
    pinhole_camera,
    pose_vertices,
    project_to_pixels,
)
from facial_jax.rendering.head import frame_head, head_chunks
from facial_jax.speech_attributes import attributes_from_speech
from facial_jax.subject import PGFACE, POSE_GAN, load_subject, save_subject
from tests.random_pgface import random_pgface
from tests.random_pose_gan import random_pose_gan

RATE, SIZE = 16000, 48


@pytest.fixture(scope="module")
def demo():
    return load_subject("demo")


@pytest.fixture(scope="module")
def both(demo):
    """The demo subject with a PoseGAN and a PGFace that were never trained."""
    count = demo.facial_gan.speech_features
    pgface = random_pgface(speech_features=count)
    # Around the person: some tenths of a standard deviation.
    face = pgface.statistics.face
    face = face.replace(mean=0.1 * face.mean, std=0.1 * face.std)
    pgface = pgface.replace(statistics=pgface.statistics.replace(face=face))
    return dataclasses.replace(demo, pose_gan=random_pose_gan(speech_features=count), pgface=pgface)


@pytest.fixture(scope="module")
def speech():
    source = AudioSource(facial_jax.sample_speech())
    return np.concatenate(list(source.blocks(RATE)))[:, 0]


@pytest.fixture(scope="module")
def said(demo, speech):
    """Features of 40 s of speech, as given ones that need no acoustic model."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(40 * 25, demo.facial_gan.speech_features)).astype(np.float32)
    return AudioSource((np.resize(speech, 40 * RATE), RATE)), (rows, 25)


def motion(frames: int, seed=0) -> Attributes:
    rng = np.random.default_rng(seed)
    pose = 0.1 * rng.normal(size=(frames, 6))
    pose[:, 5] -= 4.0
    return Attributes(
        expression=(0.2 * rng.normal(size=(frames, 64))).astype(np.float32),
        pose=pose.astype(np.float32),
        blink=rng.uniform(0, 5, frames).astype(np.float32),
    )


def test_the_head_fills_the_picture_and_never_leaves_it(demo):
    framed = frame_head(*demo.rendered_face(), motion(12))
    moved = framed.pose - motion(12).pose
    np.testing.assert_allclose(moved, np.broadcast_to(moved[0], moved.shape), atol=1e-5)
    model, person = demo.rendered_face()
    shape = np.asarray(model.mean_shape + model.identity_basis @ person.identity)
    vertices = np.broadcast_to(shape, (12, *shape.shape))
    camera = pinhole_camera((100, 100))
    seen = camera_vertices(camera, pose_vertices(*jax.tree.map(jnp.asarray, (vertices, framed))))
    pixels = np.asarray(project_to_pixels(camera, seen))
    assert 3 < pixels.min() <= pixels.max() < 97
    assert np.ptp(pixels, axis=(0, 1)).max() > 80


def test_pixels_do_not_depend_on_the_chunks_and_closed_eyes_differ_at_the_eyes(demo):
    model, person = demo.rendered_face()
    lids = sum(lid_closing())
    attributes = frame_head(model, person, motion(11))
    options = dict(size=SIZE, lids=lids)
    whole = np.concatenate(list(head_chunks(model, person, attributes, chunk_frames=16, **options)))
    part = np.concatenate(list(head_chunks(model, person, attributes, chunk_frames=1, **options)))
    assert whole.shape == (11, SIZE, SIZE, 3)
    np.testing.assert_array_equal(whole, part)
    assert (whole[:, 0, 0] > 230).all()  # the ground
    still = attributes[np.zeros(16, int)].replace(blink=np.repeat(np.float32([0, 5]), 8))
    frames = np.concatenate(list(head_chunks(model, person, still, chunk_frames=16, **options)))
    changed = np.abs(frames[0].astype(int) - frames[15]).max(axis=-1) > 10
    rows = np.nonzero(changed)[0]
    assert 4 < changed.sum() < 0.1 * SIZE**2
    assert rows.max() < SIZE * 0.55


def test_speech_becomes_a_video_and_a_head_beside_it(both, speech, tmp_path):
    path = tmp_path / "head.mp4"
    count = both.facial_gan.speech_features
    head = animate(
        (speech[: RATE // 2], RATE),
        subject=both,
        method="pose_gan",
        speech_features=(np.zeros((13, count), np.float32), 25),
        output=path,
        fps=50,
        size=SIZE,
        chunk_frames=16,
        progress=False,
    )
    assert (head.path, len(head), head.size) == (path, 25, (SIZE, SIZE))
    assert sorted(os.listdir(tmp_path)) == ["head.glb", "head.mp4"]
    assert head.attributes.identity.shape == (25, 80)
    with av.open(str(path)) as container:
        assert "synthetic" in container.metadata["comment"]
        assert container.streams.audio
        assert sum(1 for _ in container.decode(video=0)) == 25
    data = path.with_suffix(".glb").read_bytes()
    assert data == head.glb()
    assert b"synthetic" in data
    assert b"identity_00" in data
    assert "<video" in head._repr_html_()


def test_where_the_video_fails_no_head_is_left(demo, speech, tmp_path, monkeypatch):
    (tmp_path / "head.glb").write_bytes(b"an older one")
    sound = (speech[: RATE // 25 * 4], RATE)
    head = animate(sound, subject=demo, attributes=motion(4), progress=False)

    def fail(self):
        raise RuntimeError("no more")
        yield

    monkeypatch.setattr(AnimatedHead, "_chunks", fail)
    with pytest.raises(RuntimeError, match="no more"):
        head.save(tmp_path / "head.mp4", progress=False)
    assert os.listdir(tmp_path) == ["head.glb"]
    assert (tmp_path / "head.glb").read_bytes() == b"an older one"


def test_two_methods_blink_alike_and_move_otherwise(both, said):
    source, features = said
    by = {
        method: attributes_from_speech(
            source, both, fps=Fraction(25), method=method, speech_features=features
        )
        for method in ("facial", "pose_gan")
    }
    np.testing.assert_array_equal(by["facial"].blink, by["pose_gan"].blink)
    assert by["facial"].identity is None
    assert np.isfinite(by["pose_gan"].identity).all()
    assert np.abs(by["facial"].pose - by["pose_gan"].pose).mean() > 0.01
    for method, frames in (("facial", WINDOW_FRAMES), ("pose_gan", POSE_WINDOW_FRAMES)):
        pose = by[method].pose
        steps = np.linalg.norm(np.diff(pose, axis=0) / pose.std(axis=0), axis=1)
        seams = np.arange(frames, len(pose), frames) - 1
        assert steps[seams].max() <= np.delete(steps, seams).max(), method


def test_a_seed_makes_another_take_and_always_the_same(both, said):
    source, features = said

    def take(method, seed):
        return attributes_from_speech(
            source, both, fps=Fraction(25), method=method, seed=seed, speech_features=features
        )

    for method in ("facial", "pose_gan"):
        plain, first, again, other = (take(method, seed) for seed in (None, 1, 1, 2))
        np.testing.assert_array_equal(first.pose, again.pose)
        np.testing.assert_array_equal(first.blink, again.blink)
        late = slice(500, None)
        for one, two in ((plain, first), (first, other)):
            assert len(one) == len(two) == 1000
            different = np.abs(one.pose[late] - two.pose[late]).mean(axis=0)
            assert (different > 0.05 * one.pose.std(axis=0)).any(), method


def test_motion_of_other_recordings_and_its_size_are_those_of_the_attributes(demo, speech):
    sound, own, other = (speech[: 2 * RATE], RATE), motion(50), motion(200, seed=1)
    options = dict(subject=demo, attributes=own, progress=False)
    calm = animate(sound, head_motion=0.5, **options).attributes
    np.testing.assert_allclose(calm.pose.std(axis=0), 0.5 * own.pose.std(axis=0), rtol=1e-3)
    taken = animate(sound, pose_from=(other, 25), blink_from=(other, 25), **options).attributes
    mean = own.pose.mean(axis=0) - other.pose.mean(axis=0)
    np.testing.assert_allclose(taken.pose, other.pose[:50] + mean, atol=1e-5)
    np.testing.assert_array_equal(taken.blink, other.blink[:50])
    np.testing.assert_array_equal(taken.expression, own.expression)
    for wrong, message in (
        ({"head_motion": -1.0}, "head_motion: expected 0 to 5"),
        ({"seed": 3}, "seed, attributes: expected one of them"),
        ({"size": 511}, "size: expected an even number from 32 to 2048"),
    ):
        with pytest.raises(ValueError, match=message):
            animate(sound, **options, **wrong)


def test_a_subject_keeps_its_pose_gan_and_pgface(both, tmp_path):
    save_subject(tmp_path, both, face_model="procedural")
    loaded = load_subject(tmp_path)
    np.testing.assert_allclose(loaded.pose_gan.rest_pose, both.pose_gan.rest_pose, atol=1e-3)
    assert loaded.pgface.generator == both.pgface.generator
    without = dataclasses.replace(both, pose_gan=None, pgface=None)
    save_subject(tmp_path, without, face_model="procedural")
    assert load_subject(tmp_path).pgface is not None
    (tmp_path / PGFACE).write_bytes(b"broken")
    with pytest.raises(ValueError, match=PGFACE):
        load_subject(tmp_path)


def test_a_subject_without_pose_gan_says_what_makes_one(both, speech, tmp_path):
    sound = (speech[:RATE], RATE)
    without = dataclasses.replace(both, pose_gan=None)
    with pytest.raises(ValueError, match=rf"no {POSE_GAN}.*experiments\.train_pose_gan"):
        animate(sound, subject=without, method="pose_gan", progress=False)
    only = dataclasses.replace(both, pgface=None)
    with pytest.raises(ValueError, match=rf"no {PGFACE}.*experiments\.train_pgface"):
        facial_jax.synthesize(sound, subject=only, method="pose_gan", progress=False)
    save_subject(tmp_path / "anna", without, face_model="procedural")
    for command in (animate_head, synthesize):
        config = command.Arguments(
            audio=facial_jax.sample_speech(),
            subject=str(tmp_path / "anna"),
            method="pose_gan",
            output=tmp_path / "a.mp4",
        )
        with pytest.raises(SystemExit, match="error: method: subject demo has no"):
            command.main(config)
    assert os.listdir(tmp_path) == ["anna"]


def test_the_command_writes_video_head_and_curves(speech, tmp_path, capsys):
    path = tmp_path / "speech.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((speech[: RATE // 5] * 32767).astype("<i2").tobytes())
    config = animate_head.Arguments(
        audio=path, output=tmp_path / "a.mp4", export=tmp_path / "a.csv", size=SIZE,
        chunk_frames=16, seed=1,
    )  # fmt: skip
    animate_head.main(config)
    assert "5 frames, 0.20 s" in capsys.readouterr().out
    assert sorted(os.listdir(tmp_path)) == ["a.csv", "a.glb", "a.mp4", "speech.wav"]
    assert len((tmp_path / "a.csv").read_text().splitlines()) == 6
    wrong = dataclasses.replace(config, export=tmp_path / "a.txt")
    with pytest.raises(SystemExit, match="error: export: expected the name"):
        animate_head.main(wrong)
