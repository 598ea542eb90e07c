"""The animated head's file, read by another project's reader."""

from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from facial_jax.attributes import Attributes, Identity
from facial_jax.face.animated_gltf import encode_animated_head, head_quaternions, identity_motion
from facial_jax.face.gltf import HeadAnimation, encode_glb
from facial_jax.face.model import face_shape
from facial_jax.face.procedural import EXPRESSION_NAMES, is_built_in, procedural_face_model
from facial_jax.face.procedural.lids import lid_closing
from facial_jax.rendering.camera import pose_vertices

pygltflib = pytest.importorskip("pygltflib")

FRAMES, FPS = 7, Fraction(30000, 1001)
DTYPES = {5126: "<f4", 5125: "<u4", 5123: "<u2"}
COLUMNS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}


def read(gltf, number: int) -> np.ndarray:
    """An accessor's numbers, (n, c); checks that they lie where the format lets them."""
    accessor = gltf.accessors[number]
    shape = accessor.count, COLUMNS[accessor.type]

    def view(index, component, count):
        described = gltf.bufferViews[index]
        size = np.dtype(DTYPES[component]).itemsize
        assert described.byteOffset % 4 == 0
        assert described.byteLength == count * size
        assert described.byteOffset + described.byteLength <= gltf.buffers[0].byteLength
        return np.frombuffer(
            gltf.binary_blob(), DTYPES[component], count, offset=described.byteOffset
        )

    if accessor.sparse is None:
        array = view(accessor.bufferView, accessor.componentType, shape[0] * shape[1])
        array = array.reshape(shape)
    else:
        sparse = accessor.sparse
        assert accessor.bufferView is None
        rows = view(sparse.indices.bufferView, sparse.indices.componentType, sparse.count)
        assert (np.diff(rows.astype(int)) > 0).all()
        array = np.zeros(shape, np.float32)
        values = view(sparse.values.bufferView, accessor.componentType, sparse.count * shape[1])
        array[rows] = values.reshape(-1, shape[1])
    if accessor.min:
        np.testing.assert_array_equal(array.min(axis=0), np.float32(accessor.min))
        np.testing.assert_array_equal(array.max(axis=0), np.float32(accessor.max))
    return array


def animation_of(gltf) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Times and values by what is animated."""
    (animation,) = gltf.animations
    found = {}
    for channel in animation.channels:
        sampler = animation.samplers[channel.sampler]
        assert (channel.target.node, sampler.interpolation) == (0, "LINEAR")
        assert gltf.accessors[sampler.input].min is not None
        found[channel.target.path] = read(gltf, sampler.input)[:, 0], read(gltf, sampler.output)
    return found


def posed_vertices(gltf, frame: int) -> np.ndarray:
    """(n, 3) vertices in metres, as the format says that they are at a keyframe."""
    (mesh,) = gltf.meshes
    (primitive,) = mesh.primitives
    moving = animation_of(gltf)
    vertices = read(gltf, primitive.attributes.POSITION).astype(np.float64)
    weights = moving["weights"][1].reshape(-1, len(primitive.targets))[frame]
    for weight, target in zip(weights, primitive.targets, strict=True):
        vertices += weight * read(gltf, target["POSITION"])
    turned = Rotation.from_quat(moving["rotation"][1][frame]).apply(vertices)
    return turned + moving["translation"][1][frame]


@pytest.fixture(scope="module")
def motion():
    rng = np.random.default_rng(0)

    def normal(*shape, scale):
        return (scale * rng.normal(size=shape)).astype(np.float32)

    return Attributes(
        expression=normal(FRAMES, 64, scale=0.5),
        pose=normal(FRAMES, 6, scale=0.5),
        blink=rng.uniform(0, 5, FRAMES).astype(np.float32),
        identity=0.5 + normal(FRAMES, 2, scale=0.3) @ normal(2, 80, scale=1.0),
    )


@pytest.fixture(scope="module")
def person():
    rng = np.random.default_rng(1)
    identity, texture = rng.normal(size=(2, 80)).astype(np.float32)
    return Identity(identity=identity, texture=texture, illumination=np.zeros((3, 9), np.float32))


@pytest.fixture(scope="module")
def gltf(motion, person):
    data = encode_animated_head(
        procedural_face_model(),
        person,
        motion,
        FPS,
        expression_names=EXPRESSION_NAMES,
        lids=lid_closing(),
        comment="made up",
    )
    assert len(data) % 4 == 0
    return pygltflib.GLTF2.load_from_bytes(data)


def test_there_is_a_keyframe_for_each_frame_at_its_time(gltf):
    moving = animation_of(gltf)
    assert set(moving) == {"rotation", "translation", "weights"}
    for path, (times, values) in moving.items():
        np.testing.assert_allclose(times, np.arange(FRAMES) / float(FPS), rtol=1e-6)
        targets = len(gltf.meshes[0].primitives[0].targets)
        assert len(values) == FRAMES * (targets if path == "weights" else 1)


def test_turns_are_unit_quaternions_the_short_way(gltf):
    quaternions = animation_of(gltf)["rotation"][1]
    np.testing.assert_allclose(np.linalg.norm(quaternions, axis=1), 1.0, atol=1e-6)
    angles = np.zeros((200, 3))
    angles[:, 1] = np.linspace(0, 4 * np.pi, 200)
    quaternions = head_quaternions(angles)
    assert (np.sum(quaternions[1:] * quaternions[:-1], axis=1) > 0.9).all()


@pytest.mark.parametrize("frame", [0, 4, FRAMES - 1])
def test_the_readers_posed_vertices_are_ours(gltf, motion, frame):
    model, one = procedural_face_model(), jax.tree.map(jnp.asarray, motion[frame : frame + 1])
    shape = face_shape(model, one.identity, one.expression)
    shape += one.blink[0] / 5.0 * sum(lid_closing())[None]
    ours = 0.1 * np.asarray(pose_vertices(shape, one))[0]
    # Metres; a thousandth of a millimetre is left of each component that moves a vertex so little.
    np.testing.assert_allclose(posed_vertices(gltf, frame), ours, atol=1e-5)


def test_components_have_their_names_and_the_mesh_its_colours(gltf):
    (mesh,) = gltf.meshes
    names = mesh.extras["targetNames"]
    assert names[: len(EXPRESSION_NAMES)] == list(EXPRESSION_NAMES)
    assert names[63:] == [
        "expression_63",
        "blink_left",
        "blink_right",
        "identity_00",
        "identity_01",
    ]
    assert len(mesh.weights) == len(names) == len(mesh.primitives[0].targets)
    colors = read(gltf, mesh.primitives[0].attributes.COLOR_0)
    assert colors.shape == (9100, 3)
    assert colors.std() > 0.05
    assert gltf.asset.extras["comment"].startswith("made up; of the shape's changes 99.9% are kept")


def test_every_number_lies_where_the_format_wants_it(gltf):
    used = np.zeros(gltf.buffers[0].byteLength, int)
    for number in range(len(gltf.accessors)):
        read(gltf, number)
    for view in gltf.bufferViews:
        used[view.byteOffset : view.byteOffset + view.byteLength] += 1
    assert used.max() == 1
    assert (used == 0).sum() <= 3 * len(gltf.bufferViews)
    (primitive,) = gltf.meshes[0].primitives
    triangles = read(gltf, primitive.indices)
    np.testing.assert_array_equal(triangles.reshape(-1, 3), procedural_face_model().triangles)


def test_targets_that_move_few_vertices_take_little_room(motion, person):
    options = dict(lids=lid_closing(), expression_names=EXPRESSION_NAMES)
    still = motion[:1].replace(identity=None)
    size = len(encode_animated_head(procedural_face_model(), person, still, FPS, **options))
    assert size < 0.35 * 12 * 66 * 9100


def test_a_face_that_keeps_its_shape_has_no_more_targets_than_expressions(motion, person):
    data = encode_animated_head(
        procedural_face_model(), person, motion[:2].replace(identity=None), FPS
    )
    gltf = pygltflib.GLTF2.load_from_bytes(data)
    assert len(gltf.meshes[0].primitives[0].targets) == 64
    constant = np.tile(np.asarray(person.identity), (3, 1))
    basis = np.asarray(procedural_face_model().identity_basis)
    assert identity_motion(basis, constant).directions.shape == (0, 80)


def test_what_is_left_out_of_changing_identities_is_what_is_said():
    rng = np.random.default_rng(3)
    basis = rng.normal(size=(50, 3, 80)) * 0.01
    identity = rng.normal(size=(30, 80)) * np.geomspace(1.0, 1e-3, 80)
    found = identity_motion(basis, identity)
    assert 1 <= len(found.directions) < 80
    assert np.abs(found.weights).max() <= 1 + 1e-6
    made = found.mean + found.weights @ found.directions
    error = np.linalg.norm((made - identity) @ basis.reshape(-1, 80).T) / np.sqrt(30 * 50)
    assert found.error_mm == pytest.approx(100 * error, rel=1e-3)
    whole = np.linalg.norm((identity - found.mean) @ basis.reshape(-1, 80).T) / np.sqrt(30 * 50)
    assert error**2 <= 0.001 * whole**2
    # One direction fewer would not be enough.
    fewer = made - found.weights[:, -1:] * found.directions[-1]
    assert (np.linalg.norm((fewer - identity) @ basis.reshape(-1, 80).T) ** 2) / 1500 > (
        0.001 * whole**2
    )


def test_an_animation_that_does_not_fit_the_targets_is_refused():
    rest = np.eye(3)
    with pytest.raises(ValueError, match=r"expected weights.*\(2, 1\).*got \(\(2, 3\)"):
        encode_glb(
            rest, rest, rest, np.array([[0, 1, 2]]),
            targets=rest[None], target_names=["a"], target_weights=np.zeros(1),
            animation=HeadAnimation(
                times_s=np.arange(2.0), weights=np.zeros((2, 3)),
                rotation=np.zeros((2, 4)), translation=np.zeros((2, 3)),
            ),
        )  # fmt: skip


def test_only_the_built_in_face_has_names_and_lids():
    model = procedural_face_model()
    assert is_built_in(model.replace(mean_texture=model.mean_texture * 0.5))
    assert not is_built_in(model.replace(expression_basis=model.expression_basis + 0.0))
