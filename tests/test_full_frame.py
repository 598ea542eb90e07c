import itertools
import json
import os
from fractions import Fraction

import av
import numpy as np
import pytest

from facial_jax import full_frame as ff
from facial_jax.blending import blend, blend_weights
from facial_jax.pictures import resize
from facial_jax.reference_path import TURN_COST, follow_heads, head_points, reference_path

FPS = Fraction(25)
CROP = (20, 8, 32)  # left, top, side


def colour(index):
    """Frame `index` is of this grey."""
    return 30 + 4 * index


def reference_frames(count=40, size=(64, 96)):
    return [np.full((*size, 3), colour(i), np.uint8) for i in range(count)]


def poses(count, seed=0):
    rng = np.random.default_rng(seed)
    steps = rng.normal(0, [0.02, 0.02, 0.01, 0.02, 0.02, 0.05], (count, 6))
    return np.cumsum(steps, axis=0).astype(np.float32)


@pytest.fixture
def reference(tmp_path):
    ff.save_full_frame_reference(tmp_path, reference_frames(), fps=FPS, crop=CROP, pose=poses(40))
    return ff.load_full_frame_reference(tmp_path)


def test_what_was_saved_is_loaded(tmp_path, reference):
    assert reference.path == tmp_path / "full_frame.mp4"
    assert (reference.fps, reference.size, reference.crop) == (FPS, (64, 96), CROP)
    np.testing.assert_allclose(reference.pose, poses(40), atol=1e-4)
    assert ff.load_full_frame_reference(tmp_path.parent) is None


def test_frames_are_read_in_any_order_and_few_are_kept(reference):
    order = [0, 1, 2, 39, 38, 31, 32, 31, 15, 16, 15, 0, 20]
    with ff._FrameReader(reference) as reader:
        for index in order:
            image = reader.read(index)
            assert image.shape == (64, 96, 3)
            assert abs(image.astype(int) - colour(index)).max() <= 2
            assert len(reader.kept) <= 16


@pytest.mark.parametrize("fps", ["30000/1001", "12", "60"])
def test_any_frame_rate_is_kept(tmp_path, fps):
    fps = Fraction(fps)
    frames = reference_frames(40)
    ff.save_full_frame_reference(tmp_path, frames, fps=fps, crop=CROP, pose=poses(40))
    reference = ff.load_full_frame_reference(tmp_path)
    assert reference.fps == fps
    with ff._FrameReader(reference) as reader:
        for index in (39, 17, 16, 0):
            assert abs(reader.read(index).astype(int) - colour(index)).max() <= 2


def test_outside_the_square_is_the_reference_and_inside_the_head(reference):
    pose = poses(40)[5:25]
    heads = np.full((20, 32, 32, 3), [200, 10, 90], np.uint8)
    (made,) = ff.full_frame_chunks(reference, [heads], pose=pose, fps=FPS)
    path = reference_path(reference.pose, FPS, pose, FPS)
    np.testing.assert_array_equal(path, np.arange(5, 25))
    outside = np.ones((64, 96), bool)
    outside[8:40, 20:52] = False
    with ff._FrameReader(reference) as reader:
        for index, image in zip(path, made, strict=True):
            np.testing.assert_array_equal(image[outside], reader.read(int(index))[outside])
    np.testing.assert_array_equal(made[:, 12:32, 26:46], heads[:, 4:24, 6:26])


def test_frames_do_not_depend_on_the_chunks_and_come_one_by_one(reference):
    heads = np.random.default_rng(0).integers(0, 256, (20, 16, 16, 3), np.uint8)
    pose = poses(20, seed=3)
    (whole,) = ff.full_frame_chunks(reference, [heads], pose=pose, fps=FPS)
    asked = []

    def chunks():
        for start, stop in [(0, 1), (1, 8), (8, 20)]:
            asked.append(start)
            yield heads[start:stop]

    parts = ff.full_frame_chunks(reference, chunks(), pose=pose, fps=FPS)
    first = next(parts)
    assert asked == [0]
    np.testing.assert_array_equal(np.concatenate([first, *parts]), whole)


def test_the_square_fades_at_its_edges_but_not_at_the_pictures():
    alpha = blend_weights((300, 400), (100, 50, 100))
    assert alpha.shape == (100, 100)
    assert (alpha[5:84, 11:89] == 1).all()
    for edge in (alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]):
        assert edge.max() <= 0.05
    column = alpha[:, 50]
    assert (np.diff(column[:50]) >= 0).all()
    assert (np.diff(column[50:]) <= 0).all()
    share = 2.5 / (0.1 * 100)  # the third column's middle, in widths of the fade
    assert alpha[50, 2] == pytest.approx(3 * share**2 - 2 * share**3, rel=1e-5)
    corner = blend_weights((100, 300), (0, 0, 100))
    assert (corner[:, :89] == 1).all()
    assert corner[:, -1].max() <= 0.01


def test_blending_is_the_rounded_mean():
    rng = np.random.default_rng(0)
    behind, head = rng.integers(0, 256, (2, 30, 30, 3), np.uint8)
    alpha = rng.uniform(size=(30, 30)).astype(np.float32)
    alpha[:2] = [[0], [1]]
    exact = head * alpha[..., None].astype(float) + behind * (1.0 - alpha[..., None])
    np.testing.assert_allclose(blend(behind, head, alpha), exact, atol=0.51)
    np.testing.assert_array_equal(blend(behind, head, alpha)[:2], [behind[0], head[1]])
    white = np.full((30, 30, 3), 255, np.uint8)
    np.testing.assert_array_equal(blend(white, white, alpha), white)


@pytest.mark.parametrize("side", [16, 50])
def test_heads_are_resized_to_the_square(side):
    x = np.linspace(40, 200, 32)
    image = np.repeat(np.broadcast_to(x, (32, 32))[..., None], 3, axis=-1).astype(np.uint8)
    resized = resize(image, side)
    wanted = np.interp((np.arange(side) + 0.5) * 32 / side - 0.5, np.arange(32), x)
    assert resized.shape == (side, side, 3)
    assert np.abs(resized[side // 2, 2:-2, 1] - wanted[2:-2]).max() <= 4


@pytest.mark.parametrize("size", [(65, 97), (64, 97), (65, 96)])
def test_pictures_of_odd_size_lose_their_last_row_or_column(tmp_path, size):
    height, width = size
    crop = (width - height + 6, 6, height - 6)  # up to the right and lower edge
    frames = reference_frames(3, size)
    ff.save_full_frame_reference(tmp_path, frames, fps=FPS, crop=crop, pose=poses(3))
    reference = ff.load_full_frame_reference(tmp_path)
    assert reference.size == (height // 2 * 2, width // 2 * 2)
    heads = np.full((3, 16, 16, 3), 250, np.uint8)
    (made,) = ff.full_frame_chunks(reference, [heads], pose=poses(3), fps=FPS)
    assert made.shape == (3, *reference.size, 3)
    assert made[:, -1, -1].min() >= 248
    assert made[:, 0, 0].max() <= colour(2) + 2


def path_cost(seen, wanted, path):
    path = np.asarray(path)
    distance = np.square(seen[path] - wanted).sum(axis=-1).mean(axis=-1).sum()
    return distance + TURN_COST * (np.diff(path)[1:] != np.diff(path)[:-1]).sum()


@pytest.mark.parametrize("seed", range(4))
def test_the_path_is_the_cheapest_of_all(seed):
    rng = np.random.default_rng(seed)
    seen, wanted = (rng.normal(0, 0.03, (n, 4, 2)).astype(np.float32) for n in (5, 8))
    every = (np.cumsum(p) for p in itertools.product(range(5), *[(-1, 1)] * 7))
    costs = [path_cost(seen, wanted, p) for p in every if p.min() >= 0 and p.max() < 5]
    path = follow_heads(seen, wanted)
    assert set(np.abs(np.diff(path))) == {1}
    assert path_cost(seen, wanted, path) == pytest.approx(min(costs), abs=1e-6)


def test_the_body_never_stands_still_or_jumps_however_long_the_video():
    seen = head_points(poses(30))
    wanted = head_points(poses(1500, seed=1) * 0.2)
    path = follow_heads(seen, wanted)
    assert len(path) == 1500
    assert set(np.abs(np.diff(path))) == {1}
    assert path.min() >= 0
    assert path.max() < 30
    to_and_fro = np.concatenate([np.arange(30), np.arange(28, 0, -1)])[np.arange(1500) % 58]
    assert path_cost(seen, wanted, path) < path_cost(seen, wanted, to_and_fro)


def test_a_head_seen_in_the_reference_is_followed_also_backwards():
    seen = head_points(poses(60))
    there_and_back = np.concatenate([np.arange(10, 40), np.arange(38, 10, -1)])
    np.testing.assert_array_equal(follow_heads(seen, seen[there_and_back]), there_and_back)


def test_one_frame_is_enough_of_a_reference(tmp_path):
    ff.save_full_frame_reference(tmp_path, reference_frames(1), fps=FPS, crop=CROP, pose=poses(1))
    reference = ff.load_full_frame_reference(tmp_path)
    heads = np.zeros((5, 32, 32, 3), np.uint8)
    (made,) = ff.full_frame_chunks(reference, [heads], pose=poses(5), fps=Fraction(30))
    assert (made == made[0]).all()


@pytest.mark.parametrize("fps", ["25", "50", "12.5", "30000/1001"])
def test_the_reference_plays_at_its_own_speed_at_any_rate(fps):
    fps = Fraction(fps)
    pose = poses(60)
    time = np.arange(int(40 * fps / 25)) / float(fps)
    moved = np.stack([np.interp(time, np.arange(60) / 25, pose[:, k]) for k in range(6)], axis=1)
    path = reference_path(pose, FPS, moved.astype(np.float32), fps)
    np.testing.assert_array_equal(path, np.floor(time * 25 + 0.5 + 1e-9).astype(int))


def test_head_points_are_seen_by_the_pinhole_camera():
    pose = np.zeros((3, 6), np.float32)
    pose[1, 2] = np.pi / 2  # roll: the crown to the left
    pose[2, 3:] = [0.2, 0.1, -2]
    seen = head_points(pose)
    focal = 1015 / 224
    np.testing.assert_allclose(seen[0, 0], [0.5, 0.5 - focal * 0.13], atol=1e-5)
    np.testing.assert_allclose(seen[1, 0], [0.5 - focal * 0.13, 0.5], atol=1e-5)
    np.testing.assert_allclose(
        seen[2, 0], [0.5 + focal * 0.2 / 12, 0.5 - focal * 1.4 / 12], atol=1e-5
    )


def test_a_reference_lasts_20_seconds_at_most(tmp_path):
    frames = (np.zeros((16, 16, 3), np.uint8) for _ in itertools.count())
    crop = (0, 0, 16)
    ff.save_full_frame_reference(tmp_path, frames, fps=Fraction(5), crop=crop, pose=poses(120))
    assert len(ff.load_full_frame_reference(tmp_path).pose) == 100


def test_a_reference_is_replaced_whole_or_not_at_all(tmp_path, reference):
    before = reference.path.read_bytes()

    def breaks():
        yield from reference_frames(5)
        raise RuntimeError("no more frames")

    with pytest.raises(RuntimeError, match="no more frames"):
        ff.save_full_frame_reference(tmp_path, breaks(), fps=FPS, crop=CROP, pose=poses(40))
    assert os.listdir(tmp_path) == ["full_frame.mp4"]
    assert reference.path.read_bytes() == before


def test_mistakes_are_named(tmp_path):
    frames = reference_frames(3)
    given = dict(fps=FPS, crop=CROP, pose=poses(3))
    with pytest.raises(FileNotFoundError, match="nowhere"):
        ff.save_full_frame_reference(tmp_path / "nowhere", frames, **given)
    with pytest.raises(ValueError, match="at least one frame"):
        ff.save_full_frame_reference(tmp_path, [], **given)
    with pytest.raises(ValueError, match="within the 96×64 pixels"):
        ff.save_full_frame_reference(tmp_path, frames, **(given | {"crop": (70, 8, 32)}))
    with pytest.raises(ValueError, match="got only 2"):
        ff.save_full_frame_reference(tmp_path, frames, **(given | {"pose": poses(2)}))
    small = np.zeros((10, 10, 3), np.uint8)
    with pytest.raises(ValueError, match="10×10 for frame 3"):
        ff.save_full_frame_reference(tmp_path, [*frames, small], **given)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("content", [b"", b"no video"])
def test_damaged_files_are_named(tmp_path, content):
    (tmp_path / "full_frame.mp4").write_bytes(content)
    with pytest.raises(ValueError, match=r"full_frame\.mp4 are damaged"):
        ff.load_full_frame_reference(tmp_path)


def test_a_video_without_a_square_is_no_reference(tmp_path, reference):
    with av.open(str(tmp_path / "other.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width = stream.height = 64
        container.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        container.mux(stream.encode(None))
    (tmp_path / "other.mp4").replace(reference.path)
    with pytest.raises(ValueError, match="are damaged"):
        ff.load_full_frame_reference(tmp_path)


@pytest.mark.parametrize("crop", [[-3, 0, 20], [90, 0, 20], [0, 0, 1], [0, 60, 20]])
def test_a_square_beyond_the_frames_is_refused(tmp_path, crop):
    with av.open(str(tmp_path / "full_frame.mp4"), "w") as container:
        container.metadata["comment"] = json.dumps({"crop": crop, "pose": [[0.0] * 6]})
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height = 96, 64
        container.mux(stream.encode(av.VideoFrame(96, 64, "yuv420p")))
        container.mux(stream.encode(None))
    with pytest.raises(ValueError, match=r"are damaged .*a crop .* of 96×64 pixels"):
        ff.load_full_frame_reference(tmp_path)
