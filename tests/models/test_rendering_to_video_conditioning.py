import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import facial_jax
from facial_jax.appearance import Appearance
from facial_jax.attributes import Attributes
from facial_jax.audio.waveform import AudioSource
from facial_jax.face.color_mesh import at_points, color_mesh
from facial_jax.face.procedural import EXPRESSION_NAMES
from facial_jax.face.procedural.template import LOWER_LIP, load_template
from facial_jax.gaze import Eyes, GazeHabits, eyes_arrays
from facial_jax.models.rendering_to_video.conditioning import conditioning_pictures, face_regions
from facial_jax.motion import make_motion
from facial_jax.pose_limits import PoseLimits
from facial_jax.rendering.camera import pinhole_camera
from facial_jax.rendering.color_changes import TextureChanges
from facial_jax.rendering.inner_mouth import InnerMouth
from facial_jax.rendering.irises import Irises
from facial_jax.rendering.render import network_input, render
from facial_jax.rendering.surroundings import Surroundings, draw_surroundings, surroundings_arrays
from facial_jax.subject import load_subject, save_subject

SIZE, VERTICES = 64, 9100


def subject(surroundings=None, *, size=SIZE, pose_limits=None, **parts):
    """The demo subject with nothing of her own but the texture, and what is given."""
    demo = load_subject("demo")
    parts = {"vertex_texture": demo.appearance.vertex_texture, **parts}
    appearance = Appearance(surroundings=surroundings, **parts)
    return dataclasses.replace(demo, size=size, appearance=appearance, pose_limits=pose_limits)


def eyes():
    """Blue ones that usually look right."""
    texture = np.zeros((2, 8, 8, 3), np.uint8)
    texture[..., 2] = 255
    irises = Irises(texture, np.zeros((2, 2), np.float32), np.array([0, 0.3], np.float32))
    rest = np.array([[0.0, -0.1]], np.float32)
    limits = np.array([[-1, -1], [1, 1]], np.float32)
    return Eyes(irises, GazeHabits(rest, np.ones(1, np.float32), limits))


def room():
    rng = np.random.default_rng(1)
    return Surroundings(
        extent=np.array([[-2.2, 2.2], [2.2, -2.6]], np.float32),
        height=np.full((12, 11), -0.8, np.float32),
        texture=rng.integers(0, 256, (60, 55, 4), np.uint8),
        background=rng.integers(0, 256, (SIZE, SIZE, 3), np.uint8),
    )


def attributes():
    pose = np.array([[0, 0.1, 0, 0, 0, -4], [0.1, -0.3, 0.1, 0.2, 0, -4.5]], np.float32)
    zeros = np.zeros((2, 64), np.float32)
    return jax.tree.map(jnp.asarray, Attributes(zeros, pose, np.array([0, 3], np.float32)))


def rendered_on_black(attributes):
    scene = subject().scene()
    camera, size = pinhole_camera((SIZE, SIZE)), (SIZE, SIZE)
    return render(scene.face_model, scene.identity, attributes, camera, size)


def test_without_surroundings_the_network_sees_the_face_on_black():
    pictures = conditioning_pictures(subject().scene(), attributes())
    expected = network_input(rendered_on_black(attributes()), attributes().blink)
    np.testing.assert_array_equal(pictures, expected)


def test_with_them_it_sees_the_face_before_the_head_and_the_room():
    pictures = np.asarray(conditioning_pictures(subject(room()).scene(), attributes()))
    face = rendered_on_black(attributes())
    around = np.asarray(draw_surroundings(room(), attributes().pose, pinhole_camera((SIZE, SIZE))))
    outside = np.asarray(face.mask)[..., 0] == 0
    np.testing.assert_allclose(pictures[outside, :3], around[outside], atol=1e-6)
    eyes = np.asarray(face.attention)[..., 0] > 0.9
    np.testing.assert_allclose(pictures[eyes, :3], np.asarray(face.image)[eyes], atol=1e-5)
    expected = network_input(face, attributes().blink)[..., 3]
    np.testing.assert_allclose(pictures[..., 3], expected, atol=1e-6)


def test_a_subject_remembers_its_surroundings(tmp_path):
    save_subject(tmp_path / "anna", subject(room()), face_model="procedural")
    loaded = load_subject(tmp_path / "anna").appearance.surroundings
    for name, array in surroundings_arrays(room()).items():
        stored = surroundings_arrays(loaded)[name]
        assert stored.dtype == array.dtype
        np.testing.assert_allclose(stored, array, rtol=1e-3)


def blue(pictures):
    """Columns of the pixels that are more blue than red."""
    return np.nonzero(pictures[..., 2] > pictures[..., 0] + 0.2)[1]


def test_irises_are_seen_where_the_eyes_look_or_usually_look():
    size = 128
    person = subject(eyes=eyes(), size=size)
    pose = np.array([[0, 0, 0, 0, 0, 2]], np.float32)
    zeros = np.zeros((1, 64), np.float32)
    attributes = Attributes(zeros, pose, np.zeros(1, np.float32))
    columns = {}
    for name, gaze in (("usual", None), ("right", [[0, 0.3]]), ("left", [[0, -0.3]])):
        gaze = None if gaze is None else np.array(gaze, np.float32)
        seen = jax.tree.map(jnp.asarray, attributes.replace(gaze=gaze))
        columns[name] = blue(np.asarray(conditioning_pictures(person.scene(), seen))[0])
    np.testing.assert_array_equal(columns["usual"], columns["right"])
    assert columns["right"].mean() > columns["left"].mean() + 2


def test_a_subject_remembers_its_eyes_and_where_it_was_seen(tmp_path):
    limits = PoseLimits(np.full(6, 0.25, np.float32), 4 * np.eye(6, dtype=np.float32))
    person = subject(room(), eyes=eyes(), pose_limits=limits)
    save_subject(tmp_path / "anna", person, face_model="procedural")
    loaded = load_subject(tmp_path / "anna")
    for name, array in eyes_arrays(eyes()).items():
        np.testing.assert_allclose(eyes_arrays(loaded.appearance.eyes)[name], array, rtol=1e-3)
    np.testing.assert_allclose(loaded.pose_limits.mean, limits.mean)
    np.testing.assert_allclose(loaded.pose_limits.axes, limits.axes)


def test_a_subject_with_eyes_looks_somewhere_and_stays_where_it_was_seen():
    limits = PoseLimits(np.zeros(6, np.float32), 100 * np.eye(6, dtype=np.float32))
    person = subject(eyes=eyes(), pose_limits=limits)
    sound = facial_jax.sample_speech()
    attributes = make_motion(AudioSource(sound), person, fps=person.fps)
    assert attributes.gaze.shape == (len(attributes), 2)
    assert np.linalg.norm(attributes.pose, axis=1).max() < 0.0101
    # The only place that was looked at is held in the world.
    np.testing.assert_allclose(attributes.gaze[:, 1] + attributes.pose[:, 1], -0.1, atol=2e-3)
    turned = attributes.replace(gaze=None, pose=attributes.pose + 0.2)
    given = make_motion(AudioSource(sound), person, fps=person.fps, attributes=turned)
    np.testing.assert_array_equal(given.pose, turned.pose)


def test_a_background_of_another_size_than_the_subjects_is_refused():
    wrong = subject(room(), size=32)
    with pytest.raises(ValueError, match="expected a background of the frames' 32×32 pixels"):
        wrong.scene()


def texture_changes(vertices):
    """A face that turns blue as it turns left."""
    changes = np.zeros((6, vertices, 3), np.float32)
    changes[1, :, 2] = 0.4
    return TextureChanges(
        directions=np.zeros((0, 64), np.float32),
        mean=np.zeros(6, np.float32),
        deviation=np.full(6, 0.1, np.float32),
        changes=changes,
    )


def test_a_face_changes_its_colours_with_the_pose_and_its_subject_remembers(tmp_path):
    plain = subject(room())
    person = subject(room(), texture_changes=texture_changes(VERTICES))
    save_subject(tmp_path / "anna", person, face_model="procedural")
    loaded = load_subject(tmp_path / "anna")
    zeros = np.zeros((3, 64), np.float32)
    pose = np.zeros((3, 6), np.float32)
    pose[:, 1] = (-0.1, 0, 0.1)
    seen = jax.tree.map(jnp.asarray, Attributes(zeros, pose, np.zeros(3, np.float32)))

    def middle(person):
        pictures = np.asarray(conditioning_pictures(person.scene(), seen))
        return pictures[:, SIZE // 2, SIZE // 2, :3]

    changed, unchanged = middle(loaded), middle(plain)
    np.testing.assert_allclose(changed[1], unchanged[1], atol=1e-3)
    assert changed[2, 2] > unchanged[2, 2] + 0.1
    assert changed[0, 2] < unchanged[0, 2] - 0.1
    np.testing.assert_allclose(changed[..., :2], unchanged[..., :2], atol=1e-3)


def test_texture_changes_of_another_face_model_are_refused():
    person = subject(room(), texture_changes=texture_changes(7))
    with pytest.raises(ValueError, match="expected those of the texture's 9100 points, got 7"):
        person.scene()


def test_colours_between_vertices_are_seen_change_and_are_remembered(tmp_path):
    model = load_subject("demo").face_model
    mesh = color_mesh(model.triangles, VERTICES)
    texture = np.array(at_points(load_subject("demo").appearance.vertex_texture, mesh))
    texture[VERTICES:] = (0, 0, 1)
    changes = texture_changes(len(texture))
    changes.changes[:, :VERTICES] = 0
    person = subject(room(), vertex_texture=texture, texture_changes=changes)
    save_subject(tmp_path / "anna", person, face_model="procedural")
    loaded = load_subject(tmp_path / "anna")
    pose = np.array([[0, -0.1, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]], np.float32)
    zeros = np.zeros((2, 64), np.float32)
    seen = jax.tree.map(jnp.asarray, Attributes(zeros, pose, np.zeros(2, np.float32)))
    dull, bright = np.asarray(conditioning_pictures(loaded.scene(), seen))[..., :3]
    forehead = np.s_[SIZE // 3 : SIZE // 2, SIZE // 3 : -SIZE // 3]
    (bare,) = np.asarray(conditioning_pictures(subject(room()).scene(), seen[1:]))[..., :3]
    assert bright[forehead][..., 2].mean() > bare[forehead][..., 2].mean() + 0.1
    assert bright[forehead][..., 2].mean() > dull[forehead][..., 2].mean() + 0.1
    scene = loaded.scene()
    given = (scene.face_model, scene.identity, seen, scene.camera, scene.size)
    points = {"albedo": scene.albedo, "color_mesh": scene.color_mesh}
    with pytest.raises(ValueError, match="color_mesh: antialiased pictures have colours of"):
        render(*given, **points, antialiased=True)


def test_a_texture_of_neither_the_vertices_nor_the_points_is_refused():
    with pytest.raises(ValueError, match=r"9100 vertices or 35785 points, got shape \(9101, 3\)"):
        subject(room(), vertex_texture=np.zeros((VERTICES + 1, 3), np.float32)).scene()


def inner_mouth():
    """A blue one."""
    pictures = np.zeros((1, 16, 32, 3), np.uint8)
    pictures[..., 2] = 255
    return InnerMouth(pictures, np.zeros((1, 8, 3), np.float32))


def test_an_open_mouth_shows_the_persons_own():
    size, expression = 128, np.zeros((2, 64), np.float32)
    expression[1, EXPRESSION_NAMES.index("jaw_open")] = 0.6
    person = subject(inner_mouth=inner_mouth(), size=size)
    pose = np.zeros((2, 6), np.float32)
    seen = Attributes(expression, pose, np.zeros(2, np.float32))
    pictures = np.asarray(conditioning_pictures(person.scene(), jax.tree.map(jnp.asarray, seen)))
    shut, wide = (blue(picture) for picture in pictures)
    assert len(shut) == 0
    assert len(wide) > 60
    assert abs(wide.mean() - size / 2) < 2


@pytest.mark.parametrize("names", [("jaw_open",), ("lip_funnel",), ("lip_spread",)])
@pytest.mark.parametrize("turn", [-0.25, 0.0, 0.25])
def test_through_an_open_mouth_neither_the_mesh_nor_the_room_is_seen(names, turn):
    """Teeth and the skin behind the lips are red, the room is green, the person's mouth is blue."""
    size, expression = 192, np.zeros((3, 64), np.float32)
    for name in names:
        expression[:, EXPRESSION_NAMES.index(name)] = (0.3, 0.5, 0.8)
    expression[:, EXPRESSION_NAMES.index("jaw_open")] += (0.1, 0.2, 0.4)
    texture = np.tile(np.array([[0.4, 0.4, 0.4]], np.float32), (VERTICES, 1))
    texture[load_template().label > LOWER_LIP] = (1, 0, 0)
    green = np.zeros((size, size, 3), np.uint8)
    green[..., 1] = 255
    around = room()
    around = around.replace(background=green, texture=np.zeros_like(around.texture))
    person = subject(around, size=size, vertex_texture=texture, inner_mouth=inner_mouth())
    pose = np.tile(np.array([[0, turn, 0, 0, 0, 0]], np.float32), (3, 1))
    seen = jax.tree.map(jnp.asarray, Attributes(expression, pose, np.zeros(3, np.float32)))
    scene = person.scene()
    pictures = np.asarray(conditioning_pictures(scene, seen))[..., :3]
    mouth = np.asarray(face_regions(scene, seen))[..., 0] > 0.5
    red, green, blue = np.moveaxis(pictures, -1, 0)
    for frame in range(3):
        here = mouth[frame]
        assert (blue[frame][here] > 0.5).sum() > 100
        assert ((red[frame] - green[frame])[here] > 0.2).sum() <= 6
        assert ((green[frame] - red[frame])[here] > 0.2).sum() == 0


def test_eyes_with_irises_of_their_own_close_over_them():
    size = 128
    person = subject(eyes=eyes(), size=size)
    pose = np.tile(np.array([[0, 0, 0, 0, 0, 2]], np.float32), (3, 1))
    blink = np.array([0, 2.5, 5], np.float32)
    seen = jax.tree.map(jnp.asarray, Attributes(np.zeros((3, 64), np.float32), pose, blink))
    pictures = np.asarray(conditioning_pictures(person.scene(), seen))
    wide, half, shut = (len(blue(picture)) for picture in pictures)
    assert wide > 40
    assert 0.1 * wide < half < 0.9 * wide
    assert shut == 0
    np.testing.assert_array_equal(pictures[..., 3], 0)  # nor is there an eye attention map


def test_what_is_not_known_of_a_subject_is_not_remembered(tmp_path):
    save_subject(tmp_path / "anna", subject(), face_model="procedural")
    loaded = load_subject(tmp_path / "anna")
    appearance = loaded.appearance
    unknown = appearance.surroundings, appearance.eyes, appearance.inner_mouth
    assert (*unknown, appearance.texture_changes, loaded.pose_limits) == (None,) * 5


def test_a_subject_remembers_its_inner_mouth(tmp_path):
    save_subject(tmp_path / "anna", subject(inner_mouth=inner_mouth()), face_model="procedural")
    loaded = load_subject(tmp_path / "anna").appearance.inner_mouth
    np.testing.assert_array_equal(loaded.pictures, inner_mouth().pictures)
    np.testing.assert_allclose(loaded.lips, inner_mouth().lips, rtol=1e-3)
