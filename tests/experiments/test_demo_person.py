import numpy as np
import pytest

pytest.importorskip("scipy")
pytest.importorskip("PIL")

import jax
import jax.numpy as jnp

from experiments.demo_person import paint
from experiments.demo_person.articulation import MOUTH_OPENING, close_at_rest, widen_mouth
from experiments.demo_person.draw import make_drawer
from experiments.demo_person.eyes import demo_habits, drawn_gaze, iris_offset
from experiments.demo_person.person import REST_POSE, demo_identity
from experiments.demo_person.reference_video import smooth_walk, sweep
from experiments.demo_person.surfaces import body_surface, hair_surface
from facial_jax.attributes import (
    Attributes,
    AttributeStatistics,
    unpack_attributes,
    unstandardize,
)
from facial_jax.face.procedural import EXPRESSION_NAMES, procedural_face_model
from facial_jax.metrics.lips import face_lips
from facial_jax.models.facial_gan.generation import FacialGan, generate_attributes
from facial_jax.models.facial_gan.network import FacialGenerator
from facial_jax.rendering.camera import pinhole_camera
from facial_jax.rendering.render import render
from facial_jax.subject import load_subject

SIZE = 96


@pytest.fixture(scope="module")
def draw():
    """A drawer of small pictures, its skin painted coarsely.

    An experiment's shading code may broadcast; strictness is the library's.
    """
    allow = jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard")
    with pytest.MonkeyPatch.context() as patch, allow[0], allow[1]:
        patch.setattr(paint, "MAP_SIZE", 192)
        patch.setattr(paint, "MAP_SCALE", 192 / 2.64)
        drawer = make_drawer(SIZE)

        def call(pose=(0.0, 0.0, 0.0), blink=0.0, gaze=(0.0, 0.0), **coefficients):
            expression = np.zeros(64, np.float32)
            for name, value in coefficients.items():
                expression[EXPRESSION_NAMES.index(name)] = value
            turned = REST_POSE + np.array([*pose, 0.0, 0.0, 0.0], np.float32)
            look = iris_offset(np.array([gaze], np.float32))[0]
            row = turned, expression, np.float32(blink), look
            return np.asarray(drawer(*(jnp.asarray(x) for x in row)))

        call()  # compiled while the patch holds
        yield call


def rendered(**coefficients):
    expression = np.zeros((1, 64), np.float32)
    for name, value in coefficients.items():
        expression[0, EXPRESSION_NAMES.index(name)] = value
    attributes = Attributes(
        expression=jnp.asarray(expression), pose=jnp.asarray(REST_POSE[None]), blink=jnp.zeros(1)
    )
    size = (SIZE, SIZE)
    face = render(procedural_face_model(), demo_identity(), attributes, pinhole_camera(size), size)
    return face


def test_a_frame_is_a_picture(draw):
    frame = draw()
    assert frame.shape == (SIZE, SIZE, 3)
    assert frame.dtype == np.float32
    assert np.isfinite(frame).all()
    assert frame.min() >= 0
    assert frame.max() <= 1
    assert frame.std() > 0.1


def test_the_same_attributes_give_the_same_frame(draw):
    np.testing.assert_array_equal(draw(blink=2.0, jaw_open=0.3), draw(blink=2.0, jaw_open=0.3))


def test_a_blink_changes_the_eyes_and_nothing_else(draw):
    eyes = np.asarray(rendered().attention)[0, :, :, 0] > 0
    change = np.abs(draw(blink=5.0) - draw()).max(axis=-1)
    assert change[eyes].max() > 0.2
    rows, columns = np.nonzero(eyes)
    near = np.zeros_like(eyes)
    near[rows.min() - 3 : rows.max() + 4, columns.min() - 3 : columns.max() + 4] = True
    assert change[~near].max() < 0.02


def test_a_gaze_moves_the_irises_and_nothing_else(draw):
    eyes = np.asarray(rendered().attention)[0, :, :, 0] > 0
    left, right = (draw(gaze=(0.0, yaw)).mean(axis=-1) for yaw in (-0.3, 0.3))
    assert np.abs(left - right)[~eyes].max() < 0.05
    # Irises are dark: to either side of each eye it is the darker where they look.
    for columns in np.split(np.arange(SIZE), 2):
        of_eye = np.argwhere(eyes & np.isin(np.arange(SIZE), columns)[None])
        rows, places = of_eye.T
        towards = np.sign(places - places.mean())
        assert ((left - right)[rows, places] * towards).sum() > 0.3


def test_the_tracker_measures_the_gaze_that_is_drawn():
    rng = np.random.default_rng(0)
    gaze = rng.uniform([-0.1, -0.3], [0.1, 0.3], (40, 2)).astype(np.float32)
    pose = np.tile(REST_POSE, (40, 1))
    pose[:, :3] += rng.uniform(-0.15, 0.15, (40, 3)).astype(np.float32)
    # One after another, each for three frames: the tracker takes medians.
    gaze, pose = gaze.repeat(3, axis=0), pose.repeat(3, axis=0)
    drawn = drawn_gaze(
        iris_offset(gaze), pose, np.zeros(120, np.float32), pinhole_camera((256, 256))
    )
    of_both = drawn.mean(axis=1)
    still = np.median(of_both - gaze, axis=0)
    assert np.degrees(np.abs(of_both - gaze - still)).mean() < 1.5
    assert np.corrcoef(of_both[:, 1], gaze[:, 1])[0, 1] > 0.99


def test_the_demo_person_looks_mostly_at_whoever_is_spoken_to():
    habits = demo_habits()
    away = np.degrees(np.linalg.norm(habits.targets, axis=1))
    assert np.average(away < 4, weights=habits.durations) > 0.7
    assert away.max() > 8


def test_the_lids_close_step_by_step(draw):
    eyes = np.asarray(rendered().attention)[0, :, :, 0] > 0
    opened, closed = draw(), draw(blink=5.0)
    ways = [
        np.abs(draw(blink=b) - opened)[eyes].sum() / np.abs(closed - opened)[eyes].sum()
        for b in (1.25, 2.5, 3.75)
    ]
    assert 0.05 < ways[0] < ways[1] < ways[2] < 1.3


def test_an_open_mouth_is_dark_where_the_rendered_face_has_its_inside(draw):
    shut, opened = draw(), draw(jaw_open=0.9)
    before, after = (np.asarray(rendered(jaw_open=x).image)[0] for x in (0.0, 0.9))
    inside = (after.mean(-1) < 0.12) & (before.mean(-1) > 0.3)
    assert inside.sum() > 10
    assert opened.mean(-1)[inside].mean() < 0.5 * shut.mean(-1)[inside].mean()


def test_the_drawn_face_lies_where_the_rendered_one_does(draw):
    """Skin against hair and wall: the picture's colour under the rendered mask is skin."""
    frame = draw()
    mask = np.asarray(rendered().mask)[0, :, :, 0] > 0
    rows, columns = np.nonzero(mask)
    middle = mask & (np.abs(np.indices(mask.shape)[1] - columns.mean()) < 0.3 * np.ptp(columns))
    middle[: int(rows.min() + 0.3 * np.ptp(rows))] = False
    redness = frame[..., 0] - frame[..., 2]
    assert np.median(redness[middle]) > 0.1
    corner = redness[: SIZE // 6, : SIZE // 6]
    assert np.abs(corner).max() < 0.1


def test_shoulders_stay_while_the_head_turns(draw):
    change = np.abs(draw(pose=(0.0, 0.3, 0.0)) - draw()).max(axis=-1)
    assert change[SIZE // 3 : SIZE // 2, SIZE // 3 : -SIZE // 3].mean() > 0.05
    assert change[-4:].max() < 0.02


@pytest.mark.parametrize("surface", [hair_surface(), body_surface()], ids=["hair", "body"])
def test_surfaces_are_symmetric_and_sound(surface):
    vertices = surface.vertices
    assert np.isfinite(vertices).all()
    assert surface.triangles.max() == len(vertices) - 1
    assert vertices[:, 0].min() == pytest.approx(-vertices[:, 0].max(), abs=1e-6)
    assert surface.follow.min() >= 0
    assert surface.follow.max() <= 1


def test_sweeps_stay_within_what_attributes_may_be():
    attributes = sweep(0, 300)
    assert attributes["expression"].shape == (300, 64)
    assert attributes["blink"].min() >= 0
    assert attributes["blink"].max() <= 5
    assert attributes["blink"].max() > 2.5
    assert np.abs(np.degrees(attributes["pose"][:, 1])).max() <= 20.0 + 1e-6


def test_smooth_walks_fill_their_range_smoothly():
    walk = smooth_walk(np.random.default_rng(0), 2000, 3, 10.0)
    assert walk.shape == (2000, 3)
    assert np.abs(np.diff(walk, axis=0)).max() < 0.3
    assert walk.max() > 0.7
    assert walk.min() < -0.7


def test_a_wider_mouth_opens_further_and_still_shuts():
    statistics = AttributeStatistics(
        mean=np.full(71, 0.1, np.float32), std=np.full(71, 0.2, np.float32)
    )
    model = FacialGan(
        variables={},
        statistics=statistics,
        initial_state=np.zeros(71, np.float32),
        generator=FacialGenerator(),
    )
    wider = widen_mouth(model, 1.2)
    made = np.random.default_rng(0).normal(size=(9, 71)).astype(np.float32)
    before = unpack_attributes(np.asarray(unstandardize(made, statistics))).expression
    after = unpack_attributes(np.asarray(unstandardize(made, wider.statistics))).expression
    moved = [EXPRESSION_NAMES.index(name) for name in MOUTH_OPENING]
    np.testing.assert_allclose(after[:, moved], 1.2 * before[:, moved], rtol=1e-5, atol=1e-6)
    others = np.delete(np.arange(64), moved)
    np.testing.assert_allclose(after[:, others], before[:, others], atol=1e-6)
    # Lips closed over an open jaw stay closed.
    shut = np.zeros((1, 64), np.float32)
    shut[0, [EXPRESSION_NAMES.index(name) for name in ("jaw_open", "mouth_close")]] = 0.5
    face = procedural_face_model()
    gaps = [face_lips(face, np.zeros(80, np.float32), scale * shut).gap for scale in (1.0, 1.2)]
    np.testing.assert_allclose(gaps, 0.0, atol=0.003)


def test_lips_that_are_apart_in_silence_are_made_to_meet():
    demo = load_subject("demo").facial_gan
    at = 7 + EXPRESSION_NAMES.index("mouth_close")
    apart = demo.replace(
        statistics=demo.statistics.replace(mean=demo.statistics.mean.at[at].add(-0.2)),
        initial_state=demo.initial_state.at[at].add(-0.2),
    )
    silence = np.zeros((128, apart.speech_features), np.float32)
    gaps = {
        name: face_lips(
            procedural_face_model(),
            np.zeros(80, np.float32),
            generate_attributes(model, silence).expression,
        ).gap
        for name, model in (("apart", apart), ("together", close_at_rest(apart)))
    }
    assert gaps["apart"].mean() > 0.03
    assert abs(gaps["together"].mean()) < 0.003
