"""A subject made of one person's clips, or of a video from the first stage to the last."""

import dataclasses
import json
import signal
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import chex
import jax
import numpy as np
import pytest

import facial_jax
from experiments import personalize as script
from facial_jax.attributes import AttributeStatistics
from facial_jax.audio.acoustic import BUNDLED, load_acoustic_model
from facial_jax.audio.features import speech_features
from facial_jax.audio.waveform import AudioSource
from facial_jax.data.tracked_clip import save_tracked_clip
from facial_jax.face.model import face_texture
from facial_jax.face.procedural import procedural_face_model
from facial_jax.metrics import rendering_to_video as metrics
from facial_jax.metrics.lips import face_lips
from facial_jax.models.facial_gan.calibration import MAX_EXPRESSION_FACTOR
from facial_jax.models.facial_gan.config import FacialGanTrainingConfig
from facial_jax.models.facial_gan.generation import (
    FacialGan,
    generate_attributes,
    load_facial_gan,
    save_facial_gan,
)
from facial_jax.models.facial_gan.initialization import load_networks
from facial_jax.models.facial_gan.network import SMALL_DISCRIMINATOR
from facial_jax.personalization import clip as personal_clip
from facial_jax.personalization import facial_gan, pipeline
from facial_jax.personalization.clip import first_held_out, part_of
from facial_jax.personalization.config import PRESETS, PersonalizationConfig
from facial_jax.personalization.facial_gan import PERSONAL
from facial_jax.speech_attributes import attributes_from_speech
from facial_jax.stages import RECORD
from facial_jax.subject import FACIAL_GAN
from facial_jax.tracking.clip import clip_with_features
from tests.models.test_facial_gan_training import NETWORKS
from tests.one_device import quickly_compiled
from tests.random_clips import clip_source, random_clip
from tests.tracking.test_tracker import write as write_video

FEATURES = load_acoustic_model(BUNDLED).feature_count


@pytest.fixture(scope="module", autouse=True)
def quick():
    with quickly_compiled():
        yield


@pytest.fixture(scope="module")
def general(tmp_path_factory):
    """A general network of random numbers."""
    path = tmp_path_factory.mktemp("general") / "facial_gan.safetensors"
    shapes = jax.eval_shape(
        NETWORKS.generator.init,
        jax.random.key(0),
        jax.ShapeDtypeStruct((1, 128, 16, FEATURES), np.float32),
        jax.ShapeDtypeStruct((1, 71), np.float32),
    )
    rng = np.random.default_rng(0)
    variables = jax.tree.map(lambda x: rng.uniform(0.1, 0.3, x.shape).astype(np.float32), shapes)
    zeros, ones = np.zeros(71, np.float32), np.ones(71, np.float32)
    model = FacialGan(
        variables=variables,
        statistics=AttributeStatistics(mean=zeros, std=ones),
        initial_state=zeros,
        generator=NETWORKS.generator,
    )
    save_facial_gan(path, model)
    return path


@pytest.fixture(scope="module")
def subject(general, tmp_path_factory):
    folder = tmp_path_factory.mktemp("subject")
    clips = [random_clip(f"a{k}", "a", 150, seed=k, features=FEATURES) for k in range(3)]
    config = PersonalizationConfig(
        subject="a",
        general=general,
        acoustic_model=BUNDLED,
        output=folder / "subject",
        work_dir=folder / "run",
        training=FacialGanTrainingConfig(batch=2, stride=16, max_steps=2, epochs=10.0),
    )
    return personalize_clips(config, clips), clips, config


def personalize_clips(config, clips):
    parts = clip_source(*clips[:2]), clip_source(clips[2])
    return facial_jax.load_subject(pipeline.personalize_clips(config, *parts, progress=False))


def test_the_subject_has_the_persons_face_and_statistics(subject):
    loaded, clips, _ = subject
    assert loaded.name == "a"
    assert loaded.fps == 25
    expected = np.mean([clip.identity for clip in clips[:2]], axis=0)
    np.testing.assert_allclose(loaded.identity.identity, expected, atol=1e-5)
    # Scaled once more, by one factor, so that the mouth moves as far as the person's.
    expressions = np.concatenate([clip.expression for clip in clips[:2]])
    factors = loaded.facial_gan.statistics.std[7:] / expressions.std(0)
    np.testing.assert_allclose(factors, factors[0], rtol=2e-3)
    assert 1 - 2e-3 <= factors[0] <= MAX_EXPRESSION_FACTOR + 2e-3
    poses = np.concatenate([clip.pose for clip in clips[:2]])
    made = generate_attributes(loaded.facial_gan, clips[2].features).pose
    np.testing.assert_allclose(np.mean(made, axis=0), poses.mean(0), atol=0.05)


def test_training_went_on_from_the_general_network(subject, general):
    before = load_facial_gan(general).variables["params"]
    after = subject[0].facial_gan.variables["params"]
    moved = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), before, after)
    assert 0 < max(jax.tree.leaves(moved)) < 0.01


def test_another_general_network_makes_another_subject(subject, general, tmp_path):
    loaded, clips, config = subject
    again = personalize_clips(config, clips)
    chex.assert_trees_all_equal(again.facial_gan.variables, loaded.facial_gan.variables)
    model = load_facial_gan(general)
    moved = jax.tree.map(lambda x: x + 0.25, model.variables["params"])
    other = tmp_path / FACIAL_GAN
    save_facial_gan(other, model.replace(variables={**model.variables, "params": moved}))
    config = dataclasses.replace(config, general=other)
    after = personalize_clips(config, clips).facial_gan.variables["params"]
    off = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), moved, after)
    assert max(jax.tree.leaves(off)) < 0.01


def test_attributes_can_be_made_and_frames_say_what_is_missing(subject, tmp_path):
    speech = np.random.default_rng(0).standard_normal(8000).astype(np.float32) / 10
    source = AudioSource((speech, 16000))
    attributes = attributes_from_speech(source, subject[0], fps=Fraction(25))
    assert len(attributes) == 12
    assert np.isfinite(attributes.expression).all()
    with pytest.raises(ValueError, match="a has no rendering-to-video network yet"):
        facial_jax.synthesize((speech, 16000), subject=subject[0], output=tmp_path / "a.mp4")
    with pytest.raises(ValueError, match="train_rendering_to_video"):
        next(iter(facial_jax.synthesize((speech, 16000), subject=subject[0])))


def test_a_discriminator_beside_the_generator_is_trained_on(general, tmp_path):
    networks = load_networks(general)
    assert networks.discriminator_variables is None
    assert networks.discriminator.features == SMALL_DISCRIMINATOR["features"]
    assert networks.generator == NETWORKS.generator


def test_clips_of_two_frame_rates_are_refused():
    clips = clip_source(random_clip("a0", "a", 40), random_clip("a1", "a", 48, fps="30"))
    config = PersonalizationConfig(subject="a")
    with pytest.raises(ValueError, match="one frame rate, got 25, 30"):
        pipeline.personalize_clips(config, clips, clips)


SIZE = 64
CLIP_FRAMES = 180
STAGES = ("tracked/clip", "facial_gan", "frames", "video", "evaluation")


def track_nobody(work):
    """In the tracker's place: a clip of noise, and frames of a square that moves."""
    folder = work / "tracked" / "clip"
    valid = np.ones(CLIP_FRAMES, bool)
    valid[5:8] = False
    clip = random_clip("clip", "a", CLIP_FRAMES, features=FEATURES, valid=valid)
    with av.open(str(folder / "video.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width = stream.height = 2 * SIZE
        for i in range(CLIP_FRAMES):
            image = np.full((2 * SIZE, 2 * SIZE, 3), 90, np.uint8)
            image[40:80, 20 + i % 30 : 70 + i % 30] = (200, 150, 120)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    save_tracked_clip(work / "tracked", clip, acoustic="0" * 64)


@pytest.fixture(scope="module")
def video_config(general, tmp_path_factory):
    folder = tmp_path_factory.mktemp("video")
    general.with_name("a.mp4").write_bytes(b"what the tracker would read")
    return PersonalizationConfig(
        subject="a",
        size=SIZE,
        general=general,
        acoustic_model=BUNDLED,
        output=folder / "subject",
        work_dir=folder / "run",
        training=FacialGanTrainingConfig(batch=2, stride=16, max_steps=2, epochs=10.0),
        video_training=dataclasses.replace(
            PRESETS["demo"].video_training,
            generator={
                "width": 4,
                "downsamplings": 1,
                "blocks": 1,
                "local_blocks": 1,
                "kernel_size": 3,
            },
            discriminator={"width": 4, "layers": 1, "scales": 1},
            steps=2,
            reconstruction_steps=2,
            batch_size=1,
        ),
    )


@pytest.fixture
def without_landmarks(monkeypatch):
    """No MediaPipe, and stand-ins for the tracker and the fine-tuning; lists what was made."""
    made = []

    def no_mediapipe(fps):
        raise ImportError("MediaPipe is not here")

    def track_video(video, config, *, say, progress):
        made.append("track")
        track_nobody(config.work)

    def fine_tune(config, clips, validation, speech, folder, *, progress):
        made.append("facial_gan")
        assert (len(clips[0]), len(validation[0]), len(speech[0])) == (144, 36, 180)
        (folder / PERSONAL).mkdir()
        save_facial_gan(folder / PERSONAL / FACIAL_GAN, load_facial_gan(config.general))

    monkeypatch.setattr(metrics, "Landmarker", no_mediapipe)
    monkeypatch.setattr(pipeline, "track_video", track_video)
    monkeypatch.setattr(facial_gan, "fine_tune", fine_tune)
    return made


def run(config):
    return pipeline.personalize_video(video_of(config), config, progress=False)


def video_of(config):
    return config.general.with_name("a.mp4")


def ends(config):
    """When each stage's result was written."""
    return {name: (config.work / name / RECORD).stat().st_mtime_ns for name in STAGES}


def test_one_call_learns_a_person_and_says_what_it_does(video_config, without_landmarks, tmp_path):
    said = []
    options = {
        name: getattr(video_config, name)
        for name in ("size", "general", "acoustic_model", "training", "video_training")
    }
    made = facial_jax.personalize(
        str(video_of(video_config)),
        subject="a",
        output=str(tmp_path / "subject"),
        work_dir=tmp_path / "run",
        skip=("rendering_to_video",),
        say=said.append,
        progress=False,
        **options,
    )
    assert made.folder == tmp_path / "subject"
    assert made.subject.name == "a"
    assert made.report is None
    assert "subject" in made._repr_html_()
    assert [line.split(":")[0].rsplit("/", 1)[-1] for line in said] == ["clip", "facial_gan"]
    with pytest.raises(ValueError, match="preset: expected one of demo, paper, got 'large'"):
        facial_jax.personalize("a.mp4", subject="a", preset="large")
    with pytest.raises(TypeError, match="sise"):
        facial_jax.personalize("a.mp4", subject="a", sise=3)


@pytest.fixture
def personalized(video_config, without_landmarks):
    """The first call makes everything, later ones of the module find it."""
    return run(video_config), video_config, without_landmarks


def test_a_video_becomes_a_subject_that_speaks(personalized):
    folder, _, _ = personalized
    loaded = facial_jax.load_subject(folder)
    assert (loaded.name, loaded.fps, loaded.size) == ("a", 25, SIZE)
    assert loaded.acoustic_model == "bundled"
    assert loaded.rendering_to_video.width == 4
    statistical = np.asarray(face_texture(loaded.face_model, loaded.identity.texture))
    texture = loaded.appearance.vertex_texture
    assert np.isfinite(texture).all()
    assert len(texture) > len(statistical)  # points between vertices, too
    assert np.abs(texture[: len(statistical)] - statistical).max() > 0.01
    with av.open(str(folder / "spoken.mp4")) as container:
        frames = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
    assert frames[0].shape == (SIZE, SIZE, 3)
    page = (folder / "report.html").read_text()
    for said in ("nearest training frame", "MediaPipe is not here", "data:image/png;base64,"):
        assert said in page
    assert "://" not in page


def test_nothing_is_trained_on_the_last_fifth(personalized):
    _, config, _ = personalized
    with np.load(config.work / "frames" / "attributes.npz") as arrays:
        assert len(arrays["blink"]) == CLIP_FRAMES - 3
        np.testing.assert_array_equal(arrays["clip_starts"], [0, 5])
    provenance = json.loads((config.work / "video" / RECORD).read_text())["provenance"]
    held_out = provenance["training.held_out_fraction"] * (CLIP_FRAMES - 3)
    assert held_out == pytest.approx(36)
    clip = random_clip("clip", "a", CLIP_FRAMES)
    assert first_held_out(clip) == 144
    part = part_of(clip, 144, 180)[0]
    np.testing.assert_array_equal(part.pose, clip.pose[144:])
    np.testing.assert_array_equal(part.features, clip.features[144:])
    assert len(part.waveform) == round(36 / 25 * 16000)


def test_a_second_call_makes_nothing_again(personalized):
    _, config, made = personalized
    before, made[:] = ends(config), []
    run(config)
    assert ends(config) == before
    assert made == []


def test_another_setting_makes_its_stage_again_and_what_follows(personalized):
    _, config, made = personalized
    before, made[:] = ends(config), []
    video = dataclasses.replace(config.video_training, seed=1)
    other = dataclasses.replace(
        config, output=config.output.with_name("other"), video_training=video
    )
    folder, after = run(other), ends(config)
    changed = [name for name in STAGES if after[name] != before[name]]
    assert changed == ["video", "evaluation"]
    assert made == []
    networks = [
        facial_jax.load_subject(f).rendering_to_video_params for f in (config.folder, folder)
    ]
    moved = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), *networks)
    assert max(jax.tree.leaves(moved)) > 0.01


def test_stages_can_be_left_out(video_config, without_landmarks, tmp_path):
    config = dataclasses.replace(
        video_config,
        output=tmp_path / "subject",
        work_dir=tmp_path / "run",
        skip=("facial_gan", "rendering_to_video"),
    )
    loaded = facial_jax.load_subject(run(config))
    assert loaded.rendering_to_video is None
    assert not (tmp_path / "subject" / "report.html").exists()
    assert not (tmp_path / "run" / "facial_gan").exists()
    before = load_facial_gan(config.general).statistics
    np.testing.assert_allclose(loaded.facial_gan.statistics.std, before.std, rtol=1e-3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "video, data: expected one of them, got neither"),
        ({"video": (Path("a.mp4"),), "data": Path("a")}, "got both"),
        ({"video": (Path("nothing.mp4"),)}, "video: nothing.mp4 does not exist"),
        ({"data": Path("nowhere")}, "holds no data set"),
    ],
)
def test_bad_input_ends_with_one_line(changes, message, tmp_path, monkeypatch):
    monkeypatch.setattr(script, "enable_compilation_cache", lambda: None)
    with pytest.raises(SystemExit, match=message):
        script.main(script.Arguments(subject="a", work_dir=tmp_path, **changes))


def test_another_acoustic_model_than_the_general_networks_is_refused(
    tmp_path, video_config, general, monkeypatch
):
    monkeypatch.setenv("FACIAL_JAX_CACHE", str(tmp_path))
    for name, message in (("deepspeech", "convert_deepspeech"), (str(general), "acoustic")):
        config = dataclasses.replace(video_config, work_dir=tmp_path / "run", acoustic_model=name)
        with pytest.raises((ValueError, FileNotFoundError), match=message):
            pipeline.personalize_video(video_of(config), config)
    model = load_facial_gan(general)
    monkeypatch.setattr(
        facial_gan, "load_acoustic_model", lambda name: SimpleNamespace(feature_count=29)
    )
    with pytest.raises(ValueError, match=f"29 speech features a row.* trained with {FEATURES}"):
        facial_gan.check_acoustic_model("deepspeech", model)


def test_a_video_without_sound_is_tracked_like_others(video_config, tmp_path, monkeypatch):
    config = dataclasses.replace(video_config, work_dir=tmp_path / "run")
    silent = write_video(tmp_path / "silent.mp4", [(1, 90)] * 5)

    def track(*_, **__):
        raise LookupError("tracked")

    monkeypatch.setattr(personal_clip, "track", track)
    with pytest.raises(LookupError, match="tracked"):
        pipeline.personalize_video(silent, config, progress=False)


@pytest.mark.parametrize("shared", ["work_dir", "output"])
def test_a_second_run_for_one_person_is_refused(
    video_config, without_landmarks, tmp_path, monkeypatch, shared
):
    config = dataclasses.replace(
        video_config,
        output=tmp_path / "subject",
        work_dir=tmp_path / "run",
        skip=("rendering_to_video",),
    )
    other = dataclasses.replace(
        config, **({"output": tmp_path / "b"} if shared == "work_dir" else {"work_dir": tmp_path})
    )
    refused, track_video = [], pipeline.track_video

    def track_while_another_begins(*arguments, **options):
        with pytest.raises(BlockingIOError) as error:
            run(other)
        refused.append(str(error.value))
        track_video(*arguments, **options)

    monkeypatch.setattr(pipeline, "track_video", track_while_another_begins)
    run(config)
    folder = tmp_path / ("run" if shared == "work_dir" else "subject")
    assert refused == [
        f"{folder}: another process is at work in this folder; wait until it has ended, or choose "
        "another folder"
    ]
    assert facial_jax.load_subject(config.output).name == "a"


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_request_to_stop_ends_in_one_line(
    stop, video_config, without_landmarks, tmp_path, monkeypatch
):
    monkeypatch.setattr(script, "enable_compilation_cache", lambda: None)
    monkeypatch.setattr(pipeline, "track_video", lambda *_, **__: signal.raise_signal(stop))
    options = {f.name: getattr(video_config, f.name) for f in dataclasses.fields(video_config)}
    options |= {"output": tmp_path / "subject", "work_dir": tmp_path / "run"}
    arguments = script.Arguments(**options, video=(video_of(video_config),))
    with pytest.raises(SystemExit, match="interrupted: started again, it goes on"):
        script.main(arguments)
    assert not (tmp_path / "subject" / "subject.json").exists()


def test_what_is_learnt_of_the_mouth_is_the_general_networks(general):
    clip = random_clip("clip", "a", CLIP_FRAMES, features=FEATURES)
    model, face_model = load_facial_gan(general), procedural_face_model()
    made = generate_attributes(model, clip.features).expression
    (learnt,) = facial_gan.with_general_mouth(model, clip, CLIP_FRAMES, np.asarray(made))
    for name in ("pose", "blink", "features", "valid"):
        np.testing.assert_array_equal(getattr(learnt, name), getattr(clip, name))
    gaps = [face_lips(face_model, clip.identity, x).gap for x in (learnt.expression, made)]
    assert np.corrcoef(*gaps)[0, 1] > 0.99


def test_frames_that_are_only_measured_do_not_teach_the_mouth(general):
    clip = random_clip("clip", "a", CLIP_FRAMES, features=FEATURES)
    model, first = load_facial_gan(general), CLIP_FRAMES - 20
    sentence = np.asarray(generate_attributes(model, clip.features).expression)
    expression = np.array(clip.expression)
    expression[first:] += 1.0
    other = dataclasses.replace(clip, expression=expression)
    learnt = [facial_gan.with_general_mouth(model, c, first, sentence)[0] for c in (clip, other)]
    np.testing.assert_array_equal(*(one.expression for one in learnt))


def test_who_is_not_heard_speaks_as_the_general_network_does(monkeypatch, tmp_path):
    clip = random_clip("clip", "a", CLIP_FRAMES, features=1)
    silence = np.zeros_like(clip.waveform)
    config = PersonalizationConfig(subject="a")
    clip = clip_with_features(dataclasses.replace(clip, waveform=silence), config.acoustic_model)
    monkeypatch.setattr(facial_gan, "train_facial_gan", lambda *_, **__: pytest.fail("trained"))
    said = []
    facial_gan.save_fine_tuned(config, clip, CLIP_FRAMES, tmp_path, say=said.append, progress=False)
    (line,) = said
    assert "hardly any speech" in line
    own, general = (
        load_facial_gan(tmp_path / PERSONAL / FACIAL_GAN),
        load_facial_gan(config.general),
    )
    model = load_acoustic_model(config.acoustic_model)
    sentence = speech_features(AudioSource(facial_jax.sample_speech()), model, clip.frame_rate)
    made, usual = (generate_attributes(x, sentence) for x in (own, general))
    face_model = procedural_face_model()
    gaps = [face_lips(face_model, clip.identity, x.expression).gap for x in (made, usual)]
    np.testing.assert_allclose(*gaps, atol=0.2 * gaps[1].std())
    np.testing.assert_allclose(made.pose.mean(axis=0), clip.pose.mean(axis=0), atol=0.05)


def test_a_video_that_is_too_short_is_refused():
    with pytest.raises(ValueError, match=r"at least 6\.8 s with a face.*got 100 frames \(4\.0 s\)"):
        first_held_out(random_clip("clip", "a", 100))
    nobody = np.arange(300) < 240
    with pytest.raises(ValueError, match="0 that show a face in their last fifth"):
        first_held_out(random_clip("clip", "a", 300, valid=nobody))


def test_a_preset_gives_the_defaults_and_options_change_them():
    videos = ["--video", "a.mp4", "b.mov"]
    config = script.parse(["--subject", "a", *videos, "--preset", "paper"])
    assert config.video == (Path("a.mp4"), Path("b.mov"))
    assert (config.preset, config.size, config.video_training.window_half) == ("paper", 512, 5)
    assert config.video_training.batch_size == 1
    config = script.parse(["--subject", "a", "--size", "128", "--video-training.steps", "7"])
    assert (config.preset, config.size, config.video_training.steps) == ("demo", 128, 7)
    assert config.video_training.reconstruction_steps == 900
