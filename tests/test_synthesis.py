import dataclasses
import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
from fractions import Fraction
from unittest import mock

import av
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import facial_jax
from experiments import synthesize as command
from facial_jax.audio.acoustic import load_acoustic_model
from facial_jax.audio.features import speech_features
from facial_jax.audio.waveform import AudioSource
from facial_jax.editing import replace_attributes
from facial_jax.full_frame import load_full_frame_reference, save_full_frame_reference
from facial_jax.models.rendering_to_video import frames as rendering_to_video
from facial_jax.models.rendering_to_video.frames import compute_dtype, frame_chunks, generate_images
from facial_jax.models.rendering_to_video.network import GlobalGenerator
from facial_jax.speech_attributes import attributes_from_speech
from facial_jax.subject import (
    BUNDLED_SUBJECTS,
    FACIAL_GAN,
    load_rendering_to_video,
    save_subject,
)
from facial_jax.synthesis import TalkingVideo, synthesize
from tests.test_editing import with_field

RATE = 16000


@pytest.fixture(autouse=True, scope="module")
def in_float32():
    """As on a CPU also on GPUs: in bfloat16 a frame's rounding follows its batch's shape."""
    dtype = jnp.dtype("float32")
    with mock.patch.object(rendering_to_video, "compute_dtype", return_value=dtype):
        yield


@pytest.fixture(scope="module")
def demo():
    return facial_jax.load_subject("demo")


@pytest.fixture(scope="module")
def speech():
    """The bundled speech sample as 16 kHz samples."""
    return np.concatenate(list(AudioSource(facial_jax.sample_speech()).blocks(RATE)))[:, 0]


@pytest.fixture(scope="module")
def attributes(demo, speech):
    return attributes_from_speech(AudioSource((speech[: 2 * RATE], RATE)), demo, fps=Fraction(25))


def frames_of(subject, attributes, chunk_frames=32):
    chunks = list(frame_chunks(subject, attributes, chunk_frames=chunk_frames))
    return np.concatenate(chunks).astype(np.int16)


@pytest.fixture(scope="module")
def second(attributes):
    """The attributes of a second; with those around them they fill a chunk of 32."""
    return attributes[:25]


@pytest.fixture(scope="module")
def whole(demo, second):
    """The frames of that second, computed in one piece."""
    return frames_of(demo, second)


@pytest.mark.parametrize("fps", ["25", "24000/1001", "30000/1001", "60", "7.5"])
@pytest.mark.parametrize("seconds", [0.1, 1.0, 5.12, 5.2])
def test_there_are_round_duration_times_rate_frames(demo, speech, fps, seconds):
    source = AudioSource((speech[: round(seconds * RATE)], RATE))
    attributes = attributes_from_speech(source, demo, fps=Fraction(fps))
    assert len(attributes) == max(1, round(source.duration * Fraction(fps)))
    for values in (attributes.expression, attributes.pose, attributes.blink):
        assert np.isfinite(values).all()


def test_frames_do_not_depend_on_the_chunks(demo, second, whole):
    assert whole.shape == (25, demo.size, demo.size, 3)
    for chunk_frames in (1, 24):
        assert np.abs(frames_of(demo, second, chunk_frames) - whole).max() <= 1


def test_the_next_chunk_is_computed_and_copied_while_one_is_handed_out(
    demo, attributes, monkeypatch
):
    events = []

    class Frames:
        def __init__(self, index):
            self.index = index
            events.append(f"compute {index}")

        def copy_to_host_async(self):
            events.append(f"copy {self.index}")

    def wait(frames, *_):
        events.append(f"wait for {frames.index}")
        yield frames.index

    numbers = itertools.count()

    def compute(*_, **__):
        return None, Frames(next(numbers))

    monkeypatch.setattr(rendering_to_video, "_next_frames", compute)
    monkeypatch.setattr(rendering_to_video, "_kept", wait)
    for index in frame_chunks(demo, attributes[:33], chunk_frames=16):
        events.append(f"handed out {index}")
    assert events == [
        *("compute 0", "copy 0"),
        *("compute 1", "copy 1", "wait for 0", "handed out 0"),
        *("compute 2", "copy 2", "wait for 1", "handed out 1"),
        *("wait for 2", "handed out 2"),
    ]


def test_who_stops_taking_frames_waits_for_those_begun(demo, attributes, monkeypatch):
    waited = []
    monkeypatch.setattr(jax, "block_until_ready", lambda x: waited.append(x.shape))
    frames = frame_chunks(demo, attributes[:40], chunk_frames=8)
    next(frames)
    assert waited == []
    frames.close()
    assert waited == [(2 * demo.window_half - 1, 256, 256, 4)]


def on_backend(name):
    return mock.patch("jax.default_backend", return_value=name)


def test_gpus_compute_larger_batches_of_the_same_frames(demo, second, whole, monkeypatch):
    with on_backend("cpu"):
        on_cpus = rendering_to_video.batch_frames()
    with on_backend("gpu"):
        assert on_cpus < rendering_to_video.batch_frames()
    monkeypatch.setattr(rendering_to_video, "batch_frames", lambda: 16)
    assert np.abs(frames_of(demo, second) - whole).max() <= 1


def test_a_frame_depends_on_its_window_alone(demo, second, whole):
    half = demo.window_half
    part = frames_of(demo, second[3:23])
    inner = slice(half, len(part) - half + 1)
    assert np.abs(part[inner] - whole[3:23][inner]).max() <= 1


def test_the_ends_are_like_frames_of_a_face_that_held_still(demo, second, whole):
    half = demo.window_half
    index = np.clip(np.arange(-9, len(second) + 9), 0, len(second) - 1)
    held = frames_of(demo, second[index])[9:-9]
    assert np.abs(whole[:half] - held[:half]).max() <= 1
    assert np.abs(whole[-half:] - held[-half:]).max() <= 1


def test_speech_becomes_a_video_file(demo, speech, tmp_path):
    path = tmp_path / "talk.mp4"
    video = synthesize((speech[:RATE], RATE), subject=demo, output=path, fps="30000/1001")
    assert video.path == path
    assert len(video) == 30
    with av.open(str(path)) as container:
        frames = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
        assert container.streams.video[0].average_rate == Fraction(30000, 1001)
        sound = container.streams.audio[0]
        assert abs(float(sound.duration * sound.time_base) - 1) <= 1 / 29
    assert len(frames) == 30
    made = np.stack(list(video)).astype(np.int16)
    assert np.abs(made - np.stack(frames)).mean() < 4  # what compression changes
    assert "<video" in video._repr_html_()


@pytest.mark.parametrize("level", [0.0, 1e-4])
def test_in_silence_the_mouth_stays_shut_while_head_and_eyes_live(demo, speech, level):
    quiet = level * np.random.default_rng(0).standard_normal(20 * RATE).astype(np.float32)
    silent = attributes_from_speech(AudioSource((quiet, RATE)), demo, fps=Fraction(25))
    spoken = attributes_from_speech(AudioSource((speech, RATE)), demo, fps=Fraction(25))
    jaw_open = 0
    assert silent.expression[:, jaw_open].max() < 0.35 * spoken.expression[:, jaw_open].max()
    assert np.degrees(silent.pose[250:, 1].std()) > 0.2
    assert ((silent.blink[1:] > 2.5) & (silent.blink[:-1] <= 2.5)).sum() >= 2


def test_edited_attributes_are_rendered_as_they_are(demo, speech, attributes):
    sound = (speech[: 2 * RATE], RATE)
    still = replace_attributes(attributes, pose=np.asarray(attributes.pose)[0])
    video = synthesize(sound, subject=demo, attributes=still)
    for name in ("expression", "pose", "blink"):
        assert getattr(video.attributes, name) is getattr(still, name)
    assert video.attributes.gaze.shape == (50, 2)  # of nothing else is anything made
    assert len(list(video)) == 50
    looking = replace_attributes(video.attributes, gaze=np.zeros(2, np.float32))
    assert synthesize(sound, subject=demo, attributes=looking).attributes is looking
    with pytest.raises(ValueError, match=r"one row for each of the 50 frames .*, got 49"):
        synthesize(sound, subject=demo, attributes=still[:49])


def test_given_features_take_the_acoustic_models_place(demo, speech):
    source = AudioSource((speech[: 2 * RATE], RATE))
    own = speech_features(source, load_acoustic_model(demo.acoustic_model), Fraction(50))
    theirs = dataclasses.replace(demo, acoustic_model="given")
    with pytest.raises(ValueError, match="trained with features of your own"):
        attributes_from_speech(source, theirs, fps=Fraction(25))
    given = attributes_from_speech(source, theirs, fps=Fraction(25), speech_features=(own, 50))
    heard = attributes_from_speech(source, demo, fps=Fraction(25))
    np.testing.assert_allclose(given.expression, heard.expression, atol=1e-3)
    with pytest.raises(ValueError, match="speech features a frame, got 7"):
        attributes_from_speech(source, demo, fps=Fraction(25), speech_features=(own[:, :7], 50))


@pytest.fixture(scope="module")
def filmed(demo, speech, tmp_path_factory):
    """The demo subject with a reference video: a grey that rises, the head at the right."""
    folder = tmp_path_factory.mktemp("filmed")
    frames = [np.full((300, 401, 3), 60 + 2 * i, np.uint8) for i in range(30)]
    pose = np.zeros((30, 6), np.float32)
    pose[:, 1] = np.linspace(-0.1, 0.1, 30)
    save_full_frame_reference(folder, frames, fps=Fraction(25), crop=(140, 20, 256), pose=pose)
    subject = dataclasses.replace(demo, full_frame=load_full_frame_reference(folder))
    save_subject(folder / "subject", subject, face_model="procedural")
    return facial_jax.load_subject(folder / "subject")


def test_the_head_is_put_back_into_the_full_frame(filmed, speech, tmp_path):
    sound = (speech[: RATE // 2], RATE)
    path = tmp_path / "full.mp4"
    video = synthesize(sound, subject=filmed, full_frame=True, output=path, fps=50)
    heads = list(dataclasses.replace(video, full_frame=False))
    frames = list(video)
    assert len(frames) == len(heads) == 25
    assert video.size == (300, 400)
    for frame, head in zip(frames, heads, strict=True):
        assert frame.shape == (300, 400, 3)
        middle = frame[60:200, 180:350]
        assert np.abs(middle.astype(int) - head[40:180, 40:210]).max() <= 1
        assert np.ptp(frame[:, :130]) <= 3
    with av.open(str(path)) as container:
        written = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
    assert len(written) == 25
    assert written[0].shape == (300, 400, 3)
    assert np.abs(written[9].astype(int) - frames[9]).mean() < 4


def test_full_frames_must_be_there_to_be_asked_for(demo, speech, tmp_path):
    with pytest.raises(ValueError, match=r"full_frame: subject demo has no full_frame\.mp4"):
        synthesize((speech[:RATE], RATE), subject=demo, full_frame=True)
    with pytest.raises(SystemExit, match="error: full_frame"):
        command.main(
            command.Arguments(
                audio=facial_jax.sample_speech(), output=tmp_path / "talk.mp4", full_frame=True
            )
        )
    assert os.listdir(tmp_path) == []


def test_a_subject_saved_without_full_frames_leaves_those_of_its_folder(demo, filmed):
    folder = filmed.full_frame.path.parent
    save_subject(folder, demo, face_model="procedural")
    save_subject(folder, filmed, face_model="procedural")
    assert facial_jax.load_subject(folder).full_frame.size == (300, 400)


def test_networks_compute_in_bfloat16_but_on_cpus():
    for backend, dtype in {"cpu": "float32", "gpu": "bfloat16", "tpu": "bfloat16"}.items():
        with on_backend(backend):
            assert str(compute_dtype()) == dtype
    generator = GlobalGenerator(width=4, downsamplings=1, blocks=1)
    windows = jnp.asarray(np.random.default_rng(1).uniform(size=(1, 16, 16, 8)), jnp.float32)
    shapes = jax.eval_shape(generator.init, jax.random.key(1), windows)["params"]
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda x: jnp.asarray(rng.normal(0, 0.1, x.shape), jnp.float32), shapes)
    generate = jax.jit(generate_images, static_argnums=0)
    exact = generate(generator, params, windows)
    rough = generate(generator, jax.tree.map(lambda x: x.astype(jnp.bfloat16), params), windows)
    assert exact.dtype == rough.dtype == jnp.uint8
    difference = np.abs(np.asarray(rough, np.float32) - np.asarray(exact, np.float32))
    assert 0 < difference.mean() < 2


def test_files_that_are_no_speech_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        synthesize(tmp_path / "nowhere.wav")
    (tmp_path / "text.wav").write_text("not sound")
    with pytest.raises(ValueError, match=r"text\.wav"):
        synthesize(tmp_path / "text.wav")
    with pytest.raises(ValueError, match="no samples"):
        synthesize((np.zeros(0, np.float32), RATE))
    with pytest.raises(ValueError, match="NaN"):
        synthesize((np.full(RATE, np.nan, np.float32), RATE))


def test_a_video_without_sound_is_refused(tmp_path):
    path = tmp_path / "mute.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width = stream.height = 64
        frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8))
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(ValueError, match="no audio stream"):
        synthesize(path)


def test_an_unknown_subject_is_answered_with_the_known_ones():
    with pytest.raises(FileNotFoundError, match="demo"):
        synthesize((np.zeros(RATE, np.float32), RATE), subject="nobody")


@pytest.mark.parametrize("name", ["facial_gan.safetensors", "rendering_to_video.safetensors"])
def test_damaged_weights_are_named(tmp_path, name):
    folder = tmp_path / "someone"
    shutil.copytree(BUNDLED_SUBJECTS / "demo", folder)
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match=name):
        facial_jax.load_subject(folder)
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=name):
        facial_jax.load_subject(folder)


def test_a_damaged_description_is_named(tmp_path):
    folder = tmp_path / "someone"
    shutil.copytree(BUNDLED_SUBJECTS / "demo", folder)
    (folder / "subject.json").write_text('{"name": "someone"')
    with pytest.raises(ValueError, match=r"subject\.json"):
        facial_jax.load_subject(folder)


def test_output_is_refused_before_anything_is_computed(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        synthesize((np.zeros(RATE, np.float32), RATE), output=tmp_path / "no" / "talk.mp4")


def test_the_command_says_what_is_wrong_in_one_line(tmp_path):
    command = [sys.executable, "-m", "experiments.synthesize", "--audio", str(tmp_path / "no.wav")]
    command += ["--output", str(tmp_path / "talk.mp4")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert done.stderr.strip().splitlines()[-1].startswith("error: ")
    assert "no.wav" in done.stderr
    assert "Traceback" not in done.stderr
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_in_mid_video_leaves_nothing(speech, tmp_path, stop):
    long = tmp_path / "long.npy"
    np.save(long, np.resize(speech, 15 * RATE))
    folder = tmp_path / "out"
    folder.mkdir()
    # The command as a user runs it, but for sound from an array.
    code = (
        "import numpy as np, facial_jax, experiments.synthesize as command\n"
        "from pathlib import Path\n"
        f"sound = (np.load({str(long)!r}), {RATE})\n"
        "make = facial_jax.synthesize\n"
        "facial_jax.synthesize = lambda audio, **options: make(sound, **options)\n"
        f"output = Path({str(folder / 'talk.mp4')!r})\n"
        "command.main(command.Arguments(audio=Path('sound'), output=output))\n"
    )
    written, said = 0, tmp_path / "stderr.txt"
    # To a file: a GPU's warnings fill a pipe that nobody reads, and the process waits for ever.
    with said.open("w") as stderr:
        process = subprocess.Popen([sys.executable, "-c", code], stderr=stderr)
    try:
        deadline = time.monotonic() + 300
        while written == 0:
            assert process.poll() is None, said.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)
            written = sum(file.stat().st_size for file in folder.iterdir())
        process.send_signal(stop)
        assert process.wait(timeout=240) != 0
    finally:
        process.kill()
    errors = said.read_text()
    assert "interrupted" in errors
    assert os.listdir(folder) == []


@pytest.mark.parametrize("count", [0, -1, 10**6])
def test_a_chunk_has_a_sensible_number_of_frames(speech, count):
    with pytest.raises(ValueError, match=f"chunk_frames: expected 1 to 1024, got {count}"):
        synthesize((speech, RATE), chunk_frames=count)


@pytest.mark.parametrize("through", ["itself", "link"])
def test_the_speech_is_not_replaced_by_its_video(tmp_path, speech, through):
    path = tmp_path / "speech.mp4"
    path.write_bytes(b"what was recorded")
    output = path
    if through == "link":
        output = tmp_path / "talk.mp4"
        output.symlink_to(path)
    with pytest.raises(ValueError, match="output is what is read"):
        synthesize(path, output=output)
    assert path.read_bytes() == b"what was recorded"


def test_attributes_in_other_units_or_shapes_are_refused_in_words(speech, attributes):
    sound = (speech[: 2 * RATE], RATE)
    pose, expression = np.asarray(attributes.pose), np.asarray(attributes.expression)
    for changed, message in (
        (with_field(attributes, "pose", pose[:-1]), r"expected pose \(t, 6\), blink \(t,\)"),
        (with_field(attributes, "expression", expression[:, :32]), r"expression \(t, 64\)"),
        (attributes.replace(pose=pose * np.nan), "pose: expected finite values"),
        (attributes.replace(pose=np.degrees(pose)), "in radians"),
        (attributes[:10], "expected one row for each of the 50 frames"),
    ):
        with pytest.raises(ValueError, match=message):
            synthesize(sound, attributes=changed, progress=False)


def short_video(demo, attributes, speech, frames=2):
    sound = AudioSource((speech[: frames * RATE // 25], RATE))
    return TalkingVideo(attributes[:frames], Fraction(25), demo, sound, chunk_frames=8)


def test_a_video_is_shown_again_and_its_text_is_short(demo, attributes, speech, tmp_path):
    video = short_video(demo, attributes, speech)
    shown = video._repr_html_()
    assert "<video" in shown
    assert video._repr_html_() == shown
    assert video.path is None
    assert len(repr(video)) < 200
    assert "2 frames" in repr(video)
    video.save(tmp_path / "talk.mp4", progress=False)
    assert "<video" in video._repr_html_()
    (tmp_path / "talk.mp4").unlink()
    assert "<video" in video._repr_html_()


def test_a_long_video_is_not_made_to_be_shown(demo, attributes, speech, monkeypatch):
    long = jax.tree.map(lambda x: np.resize(x, (31 * 25, *x.shape[1:])), attributes)
    video = TalkingVideo(long, Fraction(25), demo, AudioSource((speech, RATE)))
    monkeypatch.setattr(TalkingVideo, "_chunks", pytest.fail)
    assert "775 frames" in video._repr_html_()


def test_making_a_video_imports_nothing_that_needs_system_libraries():
    code = (
        "import sys, numpy as np, facial_jax\n"
        "sound = np.zeros(1600, np.float32), 16000\n"
        "next(iter(facial_jax.synthesize(sound, chunk_frames=8)))\n"
        "heavy = {'mediapipe', 'cv2', 'torch', 'tensorflow', 'matplotlib'}\n"
        "bad = heavy & set(sys.modules)\n"
        "assert not bad, bad\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_another_networks_weights_in_the_place_of_rendering_to_video_are_named(tmp_path):
    wrong = tmp_path / "rendering_to_video.safetensors"
    shutil.copyfile(BUNDLED_SUBJECTS / "demo" / FACIAL_GAN, wrong)
    with pytest.raises(ValueError, match="expected a rendering-to-video network"):
        load_rendering_to_video(wrong)
