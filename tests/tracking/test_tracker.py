"""Tracking without MediaPipe: a stand-in reads where the faces are from the frames themselves."""

from fractions import Fraction

import av
import jax.numpy as jnp
import numpy as np
import pytest

from facial_jax.attributes import Identity
from facial_jax.face.procedural import procedural_face_model
from facial_jax.rendering.camera import rotation_from_euler
from facial_jax.tracking import alignment, fitting, landmarker, photometric, tracker
from facial_jax.tracking.clip import clip_waveform
from facial_jax.tracking.frames import VideoFrames
from facial_jax.tracking.landmarker import Face, choose_face
from facial_jax.tracking.preflight import preflight
from facial_jax.tracking.shots import ShotDetector, is_still
from facial_jax.tracking.tracker import Crop, bridge, bridged, head_crop, track

SIZE = (120, 160)
COLUMN, ROW = 80.0, 60.0
SHAPE = np.random.default_rng(0).standard_normal((468, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def face_points():
    """The 68 landmarks of the mean face, 1 high from brows to chin, around (0, 0)."""
    model = procedural_face_model()
    points = np.asarray(model.mean_shape)[np.asarray(model.landmarks)][:, :2] * [1, -1]
    points = points - points[27:36].mean(axis=0)
    return (points / (points[8, 1] - points[17:27, 1].mean())).astype(np.float32)


@pytest.fixture
def stand_in(monkeypatch, face_points):
    """MediaPipe's place is taken by one that sees a face wherever a white square is.

    A square at the upper left means one face of height 50, at the upper right a second, smaller.
    """

    class StandIn(landmarker.Landmarker):
        nod_rad = 0.0

        def __init__(self, fps):
            self._fps, self._count, self._shot_start, self._faces = fps, 0, 0, []

        def __exit__(self, *exception):
            pass

        def add(self, image):
            index = self._count - self._shot_start
            self._count += 1
            height, width = image.shape[:2]
            taken = set()
            for side, size, column in ((0, 50.0, COLUMN), (-1, 20.0, 130.0)):
                edge = slice(0, width // 20) if side == 0 else slice(-(width // 20), None)
                if image[: height // 15, edge].mean() < 200:
                    continue
                # The face goes from side to side and the mouth opens, as a real one does.
                move = np.array([3 * np.sin(index / 5), 0], np.float32)
                points = (face_points * size + [column, ROW] + move) * (width / SIZE[1])
                size = size * width / SIZE[1]
                which = self._nearest(points.mean(axis=0), size, index, taken)
                taken.add(which)
                face = self._faces[which]
                face.frames.append(index)
                face.points.append(points.astype(np.float32))
                face.irises.append(points[[37, 44]].astype(np.float32))
                face.blink_scores.append((0.03, 0.03))
                face.widths.append(size)
                angles = [self.nod_rad * np.sin(index / 5), 0.0, 0.0]
                face.turns.append(np.asarray(rotation_from_euler(jnp.float32(angles))))
                face.first_shape = SHAPE

    monkeypatch.setattr(tracker, "Landmarker", StandIn)
    # The pictures show no face: what is fitted to them is tested elsewhere.
    monkeypatch.setattr(tracker, "_fit_pictures", without_pictures)
    monkeypatch.setattr(alignment, "align", as_fitted)
    return StandIn


def as_fitted(model, landmarks, person, fitted, points, weights, blink, seen, fps, read, **_):
    side = alignment.SIZE_PX
    assert [frame.shape for frame in read(np.array([len(fitted) - 1]))] == [(side, side, 3)]
    assert len(points) == len(weights) == len(blink) == len(seen) == len(list(read(None)))
    return fitted


def without_pictures(model, landmarks, identity, parameters, images, points, weights):
    assert images.shape[1:] == (photometric.SIZE_PX, photometric.SIZE_PX, 3)
    assert len(images) == len(parameters) == len(points) == len(weights)
    appearance = photometric.PhotometricParameters(
        identity=jnp.asarray(identity),
        texture=jnp.zeros(80, jnp.float32),
        illumination=jnp.zeros((3, 9), jnp.float32),
        pose=jnp.asarray(parameters[:, :6]),
        expression=jnp.asarray(parameters[:, 6:]),
    )
    return appearance, (0.2, 0.1)


def write(path, frames, *, fps=25, sound=False, codec="libx264"):
    """A video of (faces, background) pairs: how many faces, and the background's grey."""
    rng = np.random.default_rng(0)
    size = SIZE
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps)
        stream.height, stream.width, stream.pix_fmt = *size, "yuv420p"
        audio = container.add_stream("aac", rate=16000, layout="mono") if sound else None
        texture = rng.integers(-20, 20, (*size, 1))
        for index, (faces, grey) in enumerate(frames):
            image = np.clip(np.broadcast_to(grey + texture, (*size, 3)), 0, 180).astype(np.uint8)
            image[40:80, 60 + index % 7 : 100] = 100  # something moves
            image[:8, :8] = 255 if faces else 0
            image[:8, -8:] = 255 if faces > 1 else 0
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
        if audio is not None:
            samples = rng.uniform(-0.3, 0.3, (1, round(16000 * len(frames) / fps)))
            frame = av.AudioFrame.from_ndarray(
                samples.astype(np.float32), format="fltp", layout="mono"
            )
            frame.sample_rate = 16000
            container.mux(audio.encode(frame))
            container.mux(audio.encode(None))
    return path


def problems_of(tracked):
    return " ".join(preflight(tracked).problems)


class Blobs(VideoFrames):
    """Frames of 640 × 360 pixels in which a white disc goes to the side."""

    size, fps = (640, 360), Fraction(25)

    def __init__(self, radius):
        object.__setattr__(self, "radius", radius)
        object.__setattr__(self, "asked", [])

    def middle(self, index):
        return np.array([170.5 + 2 * index, 240.5], np.float32)

    def read(self, *, start, stop, max_side=None):
        self.asked.append((start, stop))
        rows, columns = np.indices(self.size)
        for index in range(start, stop):
            x, y = self.middle(index)
            disc = np.hypot(columns + 0.5 - x, rows + 0.5 - y) < self.radius
            yield np.repeat(np.uint8(255 * disc)[..., None], 3, axis=-1)


def blob_landmarks(middles, radius, seen, faces=2):
    points = np.array(middles)[:, None] + radius * np.array([[0, -1], [1, 0], [0, 1], [-1, 0]] * 17)
    points[~seen] = np.nan
    turns = np.broadcast_to(np.eye(3, dtype=np.float32), (len(seen), 3, 3))
    return landmarker.Landmarks(
        points=points.astype(np.float32),
        blink_scores=np.full((len(seen), 2), 0.5, np.float32),
        irises=points[:, :2].astype(np.float32),
        turns=turns.copy(),
        seen=seen,
        face_count=faces,
        other_share=0.4,
    )


class FindsBlobs:
    """Takes MediaPipe's place: sees the disc in every picture, and nobody else."""

    def __init__(self, fps):
        self.found = []

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass

    def add(self, image):
        assert image.shape[0] == image.shape[1]
        rows, columns = (image[..., 0] > 128).nonzero()
        self.found.append([columns.mean() + 0.5, rows.mean() + 0.5, np.ptp(rows) / 2 + 0.5])

    def shot(self):
        x, y, radius = np.array(self.found).T
        seen = np.ones(len(x), bool)
        return blob_landmarks(np.stack([x, y], axis=1), radius[:, None, None], seen, faces=1)


def test_a_small_face_is_looked_at_once_more_in_a_square(monkeypatch):
    monkeypatch.setattr(tracker, "Landmarker", FindsBlobs)
    frames, seen = Blobs(20), np.arange(12) % 2 == 0
    truth = np.stack([frames.middle(3 + index) for index in range(12)])
    shot = tracker.Shot(3, blob_landmarks(truth + 4, 20, seen))
    found = tracker.look_closer(frames, shot)
    assert frames.asked == [(3, 15)]
    assert found.start == 3
    assert found.landmarks.seen.all()
    assert found.landmarks.face_count == 1
    np.testing.assert_allclose(found.landmarks.points.mean(axis=1), truth, atol=0.6)
    np.testing.assert_allclose(found.landmarks.irises.mean(axis=1)[:, 1], 230.5, atol=0.8)


def test_a_large_face_is_not_looked_at_again(monkeypatch):
    monkeypatch.setattr(tracker, "Landmarker", FindsBlobs)
    frames, seen = Blobs(60), np.ones(12, bool)
    shot = tracker.Shot(0, blob_landmarks([frames.middle(k) for k in range(12)], 60, seen))
    assert tracker.look_closer(frames, shot) is shot
    assert not frames.asked
    nobody = tracker.Shot(0, blob_landmarks(np.zeros((12, 2)), 60, ~seen))
    assert tracker.look_closer(frames, nobody) is nobody


def test_every_frame_gets_attributes(tmp_path, stand_in):
    tracked = track(write(tmp_path / "a.mp4", [(1, 90)] * 40, sound=True))
    assert len(tracked) == 40
    assert tracked.seen.all()
    assert tracked.attributes.pose.shape == (40, 6)
    assert tracked.attributes.expression.shape == (40, 64)
    assert tracked.attributes.blink.shape == (40,)
    assert np.isfinite(tracked.attributes.expression).all()
    assert (tracked.face_count, tracked.cuts, tracked.fps) == (1, (), Fraction(25))
    assert isinstance(tracked.identity, Identity)
    assert np.nanmean(tracked.fit_error) < 0.03
    # It goes from side to side as the face does: 3 pixels of 160.
    x = tracked.attributes.pose[:, 3]
    assert np.corrcoef(x, np.sin(np.arange(40) / 5))[0, 1] > 0.98
    frames = list(tracked.frames([0, 39]))
    assert [f.shape for f in frames] == [(512, 512, 3)] * 2


def test_a_known_shape_is_kept_and_what_is_fitted_goes_with_it(tmp_path, stand_in):
    path = write(tmp_path / "a.mp4", [(1, 90)] * 40)
    free = track(path)
    wider = np.asarray(free.identity.identity) + np.eye(80, dtype=np.float32)[0]
    known = track(path, identity=wider)
    np.testing.assert_array_equal(known.identity.identity, wider)
    assert np.abs(known.attributes.pose - free.attributes.pose).max() > 1e-3
    assert np.nanmean(known.fit_error) < 0.04


def test_the_head_nods_as_the_landmarker_says_it_turns(tmp_path, stand_in):
    stand_in.nod_rad = 0.1
    tracked = track(write(tmp_path / "a.mp4", [(1, 90)] * 40))
    nods = 0.1 * np.sin(np.arange(40) / 5)
    assert np.polyfit(nods, tracked.attributes.pose[:, 0], 1)[0] > 0.8


def test_no_face_is_said_plainly(tmp_path, stand_in):
    with pytest.raises(ValueError, match="no face in any of the 12 frames"):
        track(write(tmp_path / "a.mp4", [(0, 90)] * 12))


def test_a_face_that_leaves_is_marked_and_short_gaps_are_bridged(tmp_path, stand_in):
    faces = np.ones(60, int)
    faces[10:14] = 0  # short: 0.16 s
    faces[30:50] = 0  # long
    tracked = track(write(tmp_path / "a.mp4", [(f, 90) for f in faces]))
    np.testing.assert_array_equal(tracked.seen, faces > 0)
    expected = faces > 0
    expected[10:14] = True
    np.testing.assert_array_equal(tracked.valid, expected)
    assert np.isfinite(tracked.attributes.pose).all()
    assert np.isnan(tracked.fit_error).tolist() == (faces == 0).tolist()
    assert "not seen in 24 of 60 frames" in problems_of(tracked)


def test_of_two_people_the_larger_is_followed_with_a_warning(tmp_path, stand_in):
    tracked = track(write(tmp_path / "a.mp4", [(2, 90)] * 30))
    assert tracked.face_count == 2
    assert tracked.other_face_share == 1.0
    middle = tracked.landmarks.mean(axis=(0, 1)) * tracked.crop.side / tracked.size
    assert abs(middle[0] + tracked.crop.left - COLUMN) < 8
    assert "more than one person" in problems_of(tracked)


def test_a_cut_leaves_the_shot_with_most_of_the_face(tmp_path, stand_in):
    frames = [(1, 30)] * 20 + [(1, 150)] * 35 + [(0, 30)] * 15
    tracked = track(write(tmp_path / "a.mp4", frames, sound=True))
    assert tracked.cuts == (20, 55)
    assert (tracked.start, len(tracked), tracked.frame_count) == (20, 35, 70)
    assert "There are cuts (at 0.80 s, 2.20 s)" in problems_of(tracked)


def test_ten_frames_are_tracked_and_called_too_short(tmp_path, stand_in):
    tracked = track(write(tmp_path / "a.mp4", [(1, 90)] * 10))
    assert len(tracked) == 10
    assert "The clip has 10 frames" in problems_of(tracked)
    assert "There is no sound" in problems_of(tracked)


def test_where_there_is_no_sound_is_silence(tmp_path, stand_in):
    silent, loud = (
        clip_waveform(track(write(tmp_path / f"{sound}.mp4", [(1, 90)] * 10, sound=sound)))
        for sound in (False, True)
    )
    assert (silent.shape, loud.shape) == ((6400,), (6400,))
    assert (np.abs(silent).max(), np.abs(loud).max() > 100) == (0, True)


def test_a_still_picture_is_called_one(tmp_path, stand_in):
    frames = [(1, 90)] * 15
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = *SIZE, "yuv420p"
        image = np.full((*SIZE, 3), 90, np.uint8)
        image[:8, :8] = 255
        for _ in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    assert "still picture" in problems_of(track(path))


def test_a_still_picture_that_the_encoder_draws_better_with_time_is_one():
    assert is_still(np.array([0.007] + [0.0] * 28, np.float32))
    assert not is_still(np.full(28, 0.002, np.float32))
    every_second = np.array([0.0, 0.004] * 20, np.float32)  # 30 pictures a second, written as 60
    assert not is_still(every_second)


def test_one_frame_is_a_still_picture(tmp_path, stand_in):
    tracked = track(write(tmp_path / "a.mp4", [(1, 90)], sound=True))
    assert len(tracked) == 1
    assert "still picture" in problems_of(tracked)
    assert [f.shape for f in tracked.frames()] == [(512, 512, 3)]


def test_a_video_that_is_cut_off_is_tracked_as_far_as_it_goes(tmp_path, stand_in):
    path = write(tmp_path / "a.avi", [(1, 90)] * 150, codec="mpeg4")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * 0.6)])
    tracked = track(path)
    assert 5 < len(tracked) < 145
    text = problems_of(tracked)
    assert "cut off or damaged" in text or tracked.video.duration_s < 150 / 25 - 1


def test_4k_frames_are_made_smaller_to_look_for_faces(tmp_path, stand_in, monkeypatch):
    monkeypatch.setattr(tracker, "DETECTION_SIDE", 80)
    tracked = track(write(tmp_path / "a.mp4", [(1, 90)] * 12))
    # Landmarks are in the file's own pixels all the same.
    middle = tracked.landmarks[0].mean(axis=0) * tracked.crop.side / tracked.size
    assert abs(middle[0] + tracked.crop.left - COLUMN) < 5


def test_the_crop_is_a_square_in_the_picture_around_the_head(face_points):
    points = np.tile(face_points * 100 + np.array([400.0, 300.0], np.float32), (5, 1, 1))
    points[:, :, 0] += np.arange(5, dtype=np.float32)[:, None] * 20
    crop = head_crop(points.astype(np.float32), (720, 1280))
    assert isinstance(crop, Crop)
    low, high = points.min(axis=(0, 1)), points.max(axis=(0, 1))
    assert crop.left < low[0]
    assert crop.top < low[1] - 50  # the forehead is in it
    assert crop.left + crop.side > high[0]
    assert crop.top + crop.side > high[1]
    at_edge = head_crop((points * 3).astype(np.float32), (720, 1280))
    assert at_edge.side == 720
    assert at_edge.top == 0
    assert 0 <= at_edge.left <= 1280 - 720


def test_gaps_are_bridged_linearly_up_to_a_length():
    seen = np.array([0, 1, 0, 1, 0, 0, 0, 1, 0], bool)
    values = np.where(seen, np.arange(9.0), np.nan)[:, None].astype(np.float32)
    np.testing.assert_allclose(bridge(values, seen)[:, 0], [1, 1, 2, 3, 4, 5, 6, 7, 7])
    np.testing.assert_array_equal(bridged(seen, 2), np.array([0, 1, 1, 1, 0, 0, 0, 1, 0], bool))


def test_a_face_lost_and_found_again_is_the_same(face_points):
    points = face_points * 50 + 60

    quarter = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]], np.float32)

    def face(frames, offset, size=50.0, shape=SHAPE):
        n = len(frames)
        scores, widths = [(0.1, 0.2)] * n, [size] * n
        face = Face(list(frames), blink_scores=scores, widths=widths, first_shape=shape)
        for _ in frames:
            face.points.append(points + np.float32(offset))
            face.irises.append(points[[37, 44]] + np.float32(offset))
            face.turns.append(np.eye(3, dtype=np.float32))
        return face

    turned = SHAPE @ quarter.T * 2 + 1
    again = choose_face([face(range(5), 0.0), face(range(8, 12), 10.0, shape=turned)], 12)
    np.testing.assert_allclose(again.turns[:5], np.tile(np.eye(3), (5, 1, 1)), atol=1e-5)
    np.testing.assert_allclose(again.turns[8:], np.tile(quarter, (4, 1, 1)), atol=1e-5)
    assert np.isnan(again.turns[5:8]).all()
    np.testing.assert_allclose(again.irises[9], points[[37, 44]] + 10)
    assert np.isnan(again.irises[5:8]).all()
    np.testing.assert_array_equal(np.flatnonzero(again.seen), [0, 1, 2, 3, 4, 8, 9, 10, 11])
    assert again.face_count == 1
    other = choose_face([face(range(8), 0.0), face(range(8, 12), 200.0)], 12)
    assert other.seen.sum() == 8
    assert other.face_count == 2
    nobody = choose_face([], 3)
    assert not nobody.seen.any()
    assert nobody.face_count == 0


def test_a_cut_is_found_and_motion_is_none():
    rng = np.random.default_rng(0)
    first, second = (
        np.kron(rng.integers(0, 255, (3, 4, 3), dtype=np.uint8), np.ones((24, 32, 1), np.uint8))
        for _ in range(2)
    )
    detector = ShotDetector()
    shown = [np.roll(first, k, axis=1) for k in (0, 1, 2)] + [second] * 3
    assert [detector.is_cut(f) for f in shown] == [False, False, False, True, False, False]


def test_pictures_make_texture_and_light_fit():
    """A rendered face is fitted: the photometric error falls by more than half."""
    model = procedural_face_model()
    landmarks = fitting.landmark_model(model)
    skin = photometric.skin_vertices(model)
    assert 0.1 < skin.mean() < 0.7
    assert not skin[np.asarray(model.eye_mask)].any()
    rng = np.random.default_rng(3)
    count = 2
    truth = photometric.PhotometricParameters(
        identity=jnp.zeros(80, jnp.float32),
        texture=jnp.asarray(rng.standard_normal(80).astype(np.float32)),
        illumination=jnp.asarray(rng.uniform(-0.1, 0.1, (3, 9)).astype(np.float32)),
        pose=jnp.asarray([[0.0, 0.1, 0, 0, 0, -3], [0.1, -0.2, 0, 0, 0, -3]], jnp.float32),
        expression=jnp.zeros((count, 64), jnp.float32),
    )
    images, _ = photometric._render_skin(model, jnp.asarray(skin, jnp.float32), truth, (64, 64))
    images = np.clip(np.asarray(images), 0, 1)
    moved = truth.replace(
        texture=jnp.zeros(80, jnp.float32), illumination=jnp.zeros((3, 9), jnp.float32)
    )
    before = photometric.photometric_error(model, skin, moved, images).mean()
    frames = fitting.FrameParameters(pose=truth.pose, expression=truth.expression)
    texture, light = photometric.fit_texture_and_light(
        model, skin, np.zeros(80, np.float32), frames, images
    )
    fitted = moved.replace(texture=jnp.asarray(texture), illumination=jnp.asarray(light))
    after = photometric.photometric_error(model, skin, fitted, images).mean()
    assert after < 0.35 * before
    # With poses a little off, gradients through the rasterizer bring the error down further.
    off = fitted.replace(pose=fitted.pose + jnp.asarray([[0.02, -0.02, 0.01, 0.02, 0.02, 0]]))
    points = np.asarray(
        fitting.project_frames(
            landmarks, truth.identity, jnp.concatenate([truth.pose, truth.expression], axis=1)
        )
    )
    refined = photometric.refine_appearance(
        model,
        landmarks,
        jnp.asarray(skin, jnp.float32),
        off,
        jnp.asarray(images),
        jnp.asarray(points),
        jnp.asarray(fitting.landmark_weights(points, np.ones(count, np.float32))),
        steps=6,
    )
    start = photometric.photometric_error(model, skin, off, images).mean()
    end = photometric.photometric_error(model, skin, refined, images).mean()
    assert end < 0.9 * start
