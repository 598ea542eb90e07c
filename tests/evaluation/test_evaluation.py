"""Evaluations of videos whose landmarks are known, and the page that shows them."""

import json
from fractions import Fraction

import av
import numpy as np
import pytest

from facial_jax.attributes import Attributes
from facial_jax.audio.waveform import AudioSource
from facial_jax.evaluation import evaluate, measures, report
from facial_jax.evaluation.alignment import STEADY, align, common_pictures, similarity
from facial_jax.evaluation.measures import Given, video_measures
from facial_jax.evaluation.observation import Observation
from facial_jax.evaluation.playable import is_playable, write_playable
from facial_jax.models.syncnet.use import SyncNetScore
from facial_jax.pictures import opencv
from facial_jax.tracking.frames import open_frames
from facial_jax.video import write_video
from tests.browser import browser_page, is_as_wide_as_its_window

FRAMES = 120


def landmarks(frames):
    """A face of 68 points around (80, 70), 60 wide, whose mouth opens and whose eyes blink."""
    angle = np.linspace(0, 2 * np.pi, 68, endpoint=False)
    points = np.tile(
        np.stack([80 + 30 * np.cos(angle), 70 + 30 * np.sin(angle)], -1), (frames, 1, 1)
    )
    for first, x in ((36, 60.0), (42, 90.0)):
        points[:, first : first + 6, 0] = x + np.array([0, 3, 7, 10, 7, 3])
        points[:, first : first + 6, 1] = 60 + np.array([0, -2, -2, 0, 2, 2])
    opening = 4 + 3 * np.sin(np.arange(frames) / 3)
    points[:, 66] = np.stack([np.full(frames, 80.0), 85 + opening], -1)
    return points.astype(np.float32)


def picture(frames, size=(160, 160)):
    """A textured picture that moves a little, (t, h, w, 3) uint8."""
    rng = np.random.default_rng(0)
    still = opencv().GaussianBlur(rng.uniform(0, 255, (*size, 3)).astype(np.float32), (0, 0), 3)
    still = np.clip((still - 127) * 6 + 127, 0, 255)
    return np.stack([np.roll(still, i % 5, axis=1) for i in range(frames)]).astype(np.uint8)


def observation(path, *, fps=25, points=None, start=0):
    video = open_frames(path, fps=fps)
    frames = FRAMES * fps // 25
    blink = np.zeros(frames, np.float32)
    for begin in (20, 70):
        blink[begin : begin + 6] = 4.0
    expression = np.zeros((frames, 64), np.float32)
    expression[:, 0] = np.sin(np.arange(frames) / 3)
    pose = np.zeros((frames, 6), np.float32)
    pose[:, 1] = 0.1 * np.sin(np.arange(frames) / 20)
    points = landmarks(frames) if points is None else points
    samples = (0.1 * np.random.default_rng(1).standard_normal(16000 * frames // fps)).astype("f4")
    return Observation(
        name=path.name,
        video=video,
        own_fps=video.pictures.fps,
        start=start,
        points=points,
        irises=points[:, [36, 42]] + np.float32(5),
        attributes=Attributes(expression=expression, pose=pose, blink=blink),
        valid=np.ones(frames, bool),
        samples=samples,
    )


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    path = tmp_path_factory.mktemp("videos") / "real.mp4"
    sound = (0.1 * np.random.default_rng(1).standard_normal(16000 * FRAMES // 25)).astype("f4")
    write_video(
        path,
        iter([picture(FRAMES)]),
        size=(160, 160),
        fps=Fraction(25),
        audio=AudioSource((sound, 16000)),
    )
    return path


def test_a_known_similarity_is_found():
    made = landmarks(5)[:, STEADY]
    turn = np.deg2rad(10)
    matrix = 1.7 * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    real = made @ matrix.T + [3, -8]
    made[2] = np.nan
    found = similarity(made, real)
    np.testing.assert_allclose(found, np.column_stack([matrix, [3, -8]]), atol=1e-4)


def test_videos_of_one_size_are_compared_as_they_are(video):
    one = observation(video)
    alignment = align(one, one)
    np.testing.assert_array_equal(alignment.transform, np.eye(2, 3))
    assert len(alignment) == FRAMES
    assert any("compared as they are" in note for note in alignment.notes)
    pictures = common_pictures(one, one, alignment)
    np.testing.assert_array_equal(pictures.generated, pictures.real)
    assert len(pictures.numbers) == 100  # of 120, evenly chosen
    assert (pictures.numbers[0], pictures.numbers[-1]) == (0, FRAMES - 1)


def test_a_larger_video_is_brought_onto_the_face_of_the_real_one(video, tmp_path):
    cv2 = opencv()
    larger = np.stack(
        [cv2.resize(x, (320, 320), interpolation=cv2.INTER_CUBIC) for x in picture(FRAMES)]
    )
    path = tmp_path / "larger.mp4"
    write_video(path, iter([larger]), size=(320, 320), fps=Fraction(25), audio=AudioSource(video))
    real, made = observation(video), observation(path, points=2 * landmarks(FRAMES))
    alignment = align(made, real)
    np.testing.assert_allclose(alignment.transform, [[0.5, 0, 0], [0, 0.5, 0]], atol=1e-3)
    (note,) = [note for note in alignment.notes if note.startswith("size")]
    assert "320×320 and 160×160" in note
    assert "scaled by 0.50" in note
    pictures = common_pictures(made, real, alignment)
    error = np.square(pictures.generated.astype(float) - pictures.real).mean()
    assert 10 * np.log10(255**2 / error) > 28


def test_parts_that_only_one_video_has_are_left_out(video):
    real = observation(video)
    late = observation(video, points=landmarks(FRAMES))
    late = Observation(**{**vars(late), "start": 30})
    alignment = align(late, real)
    assert (alignment.generated, alignment.real) == (slice(0, 90), slice(30, 120))
    with pytest.raises(ValueError, match="25 frames per second"):
        align(observation(video, fps=50), real)


def test_a_pair_of_one_video_is_without_distance_and_has_a_page(video, tmp_path, monkeypatch):
    monkeypatch.setattr(
        evaluate, "observe", lambda path, fps=None, progress=iter: observation(path)
    )
    found = evaluate.evaluate_pair(video, video, tmp_path / "out")
    made, real = found.rows["generated"], found.rows["real"]
    for name in ("LMD, %", "mouth LMD, %", "eye opening error", "gaze error, %"):
        assert made[name] == real[name] == 0
    assert made["mouth correlation"] == pytest.approx(1)
    for protocol in ("whole", "pasted"):
        assert made[f"PSNR, dB ({protocol})"] > 60
        assert made[f"SSIM ({protocol})"] == pytest.approx(1, abs=1e-4)
        assert made[f"perceptual ({protocol})"] == pytest.approx(0, abs=1e-4)
    assert made["CPBD (whole)"] == pytest.approx(made["CPBD"], abs=1e-6)
    assert made["CPBD"] == real["CPBD"]
    assert made["blinks per s"] == pytest.approx(2 / 4.8)
    stored = json.loads((tmp_path / "out" / report.NUMBERS).read_text())
    assert stored["rows"]["real"]["CPBD"] == real["CPBD"]
    assert any("random weights" in note for note in stored["notes"])
    page = (tmp_path / "out" / report.PAGE).read_text()
    assert page.count('src="data:video/mp4;base64,') == 2
    assert "<th>generated</th><th>real</th>" in page
    assert "http" not in page.replace("http://www.w3.org", "")
    for width in (360, 1200):
        with browser_page(viewport={"width": width, "height": 800}) as shown:
            shown.goto((tmp_path / "out" / report.PAGE).as_uri())
            assert is_as_wide_as_its_window(shown)
            shown.wait_for_function("document.querySelector('video').videoWidth === 160")


def test_large_videos_lie_beside_the_page(video, tmp_path, monkeypatch):
    monkeypatch.setattr(report, "MAX_INLINE_BYTES", 10)
    seen = observation(video)
    page = report.write_evaluation(
        tmp_path, "a < b", {"video": seen}, report.Evaluation({"video": {"x": np.nan}}, (), ())
    )
    assert 'src="report_video.mp4"' in page.read_text()
    assert "<h1>a &lt; b</h1>" in page.read_text()
    assert (tmp_path / "report_video.mp4").read_bytes() == video.read_bytes()
    assert json.loads((tmp_path / report.NUMBERS).read_text())["rows"]["video"]["x"] is None


def test_what_browsers_do_not_play_is_encoded_again(video, tmp_path):
    path = tmp_path / "old.mp4"
    with av.open(str(path), "w") as container:
        container.metadata["comment"] = "synthetic: by a test"
        stream = container.add_stream("mpeg4", rate=25)
        stream.height, stream.width, stream.pix_fmt = 160, 160, "yuv420p"
        for image in picture(5):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    assert is_playable(video)
    assert not is_playable(path)
    for source in (path, video):
        copy = tmp_path / "copy.mp4"
        frames = open_frames(source)
        write_playable(copy, frames)
        assert is_playable(copy)
        made = np.stack(list(open_frames(copy).read()))
        real = np.stack(list(frames.read()))
        assert made.shape == real.shape
        assert np.abs(made.astype(float) - real).mean() < 6
        with av.open(str(copy)) as container:
            assert container.metadata["comment"].startswith("synthetic")
        assert (open_frames(copy).sound is None) == (frames.sound is None)


def test_what_cannot_be_measured_is_said(video):
    silent = Observation(**{**vars(observation(video)), "samples": None})
    numbers, missing = video_measures(silent)
    assert "MouthSync confidence" not in numbers
    assert any("no sound" in text for text in missing)


def test_syncnet_is_shown_the_face_at_its_own_rate(video, monkeypatch):
    given, shown = Given(syncnet=video.with_name("syncnet_v2.model")), {}

    def score(model, faces, samples):
        shown.update(faces=faces, seconds=len(samples) / 16000)
        return SyncNetScore(-1, 7.0, 3.0)

    monkeypatch.setattr(measures, "load_syncnet", lambda path: path)
    monkeypatch.setattr(measures, "syncnet_score", score)
    twice = observation(video, fps=50)
    numbers = measures._syncnet(twice, given.syncnet)
    assert numbers == {
        "SyncNet AV offset, 1/25 s": -1.0,
        "SyncNet LSE-D": 7.0,
        "SyncNet LSE-C": 3.0,
    }
    assert shown["faces"].shape == (FRAMES, 224, 224, 3)
    assert shown["seconds"] == pytest.approx(FRAMES / 25)


def test_means_over_pairs_leave_out_what_failed(video, tmp_path, monkeypatch):
    for name in ("one", "two", "without"):
        (tmp_path / "pairs" / name).mkdir(parents=True)
        for kind in ("video", "reference")[: 1 + (name != "without")]:
            (tmp_path / "pairs" / name / f"{kind}.mp4").write_bytes(b"")
    pairs = evaluate.find_pairs(tmp_path / "pairs")
    assert list(pairs) == ["one", "two"]
    rows = {"one": 1.0, "two": 3.0}

    def pair(video, reference, folder, **_):
        name = folder.name
        if name == "three":
            raise ValueError("no face")
        row = {"LMD, %": rows[name], "blink duration, s": np.nan}
        return report.Evaluation({"generated": row, "real": {}}, (), ())

    monkeypatch.setattr(evaluate, "evaluate_pair", pair)
    said = []
    found = evaluate.evaluate_pairs({**pairs, "three": pairs["one"]}, tmp_path, say=said.append)
    assert found == {"generated": {"LMD, %": 2.0}, "real": {}}
    assert said == ["three: left out, no face"]
    with pytest.raises(ValueError, match="found none"):
        evaluate.find_pairs(tmp_path / "pairs" / "one")
