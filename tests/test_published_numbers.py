"""Against what the published programs computed: ../shared/reference, outside the repository.

The published networks are under made-up weights: every tensor is drawn from a generator of its own,
seeded by the CRC-32 of its name, and so are the inputs.
"""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import sparse
from scipy.io import loadmat

from facial_jax.audio import mfcc
from facial_jax.audio.waveform import AudioSource
from facial_jax.face.bfm import load_bfm
from facial_jax.face.eye_region import DEFAULT_THRESHOLD
from facial_jax.face.model import face_landmarks, face_shape, face_texture, vertex_normals
from facial_jax.interop import pytorch
from facial_jax.rendering.camera import (
    camera_vertices,
    pinhole_camera,
    project_to_pixels,
    rotation_from_euler,
    transform_vertices,
)
from facial_jax.rendering.lighting import shade
from facial_jax.tracking.published import read_published_attributes
from tests.interop.test_pytorch import drawn
from tests.shared_data import shared_path

REFERENCE = shared_path("reference")


def reference_weight(name, shape):
    value = drawn(name, shape).astype(np.float32)
    match name.rsplit(".", 1)[-1]:
        case "num_batches_tracked":
            return np.zeros(shape, np.int64)
        case "running_mean":
            return 0.1 * value
        case "running_var":
            return 0.5 + np.abs(value)
        case "weight" if len(shape) > 1:
            fan_in = int(np.prod(shape[1:]))
            return value / np.float32(np.sqrt(fan_in))
        case "weight":
            return 1 + np.float32(0.1) * value
        case _:
            return np.float32(0.1) * value


def reference_input(name, shape):
    """Channels last."""
    return np.moveaxis(drawn(name, shape).astype(np.float32), 1, -1)


def assert_close(got, expected, tolerance=1e-4):
    scale = np.abs(expected).max()
    assert np.abs(np.asarray(got) - expected).max() <= tolerance * scale


@pytest.fixture
def reference():
    """A function from a network's name to its state dict, and the stored outputs."""
    shapes = json.loads((REFERENCE / "official_networks_state_dicts.json").read_text())
    outputs = np.load(REFERENCE / "official_networks.npz")

    def state_dict(network):
        return {name: reference_weight(name, tuple(shape)) for name, shape in shapes[network]}

    return state_dict, outputs


def test_facial_generator_reproduces_the_published_output(reference):
    state_dict, outputs = reference
    generator, variables = pytorch.facial_generator(state_dict("facial_generator"))
    audio, state = drawn("audio", (4, 128, 16, 29)), drawn("state", (4, 71))
    got = jax.jit(generator.apply)(variables, audio.astype(np.float32), state.astype(np.float32))
    assert_close(got, outputs["facial_generator/eval"])


def test_facial_discriminator_reproduces_the_published_output(reference):
    state_dict, outputs = reference
    discriminator, variables = pytorch.facial_discriminator(state_dict("facial_discriminator"))
    rows = drawn("attributes_and_motion", (4, 255, 71)).astype(np.float32)
    got = jax.jit(lambda v, x: discriminator.apply(v, x, method="judge"))(variables, rows)
    assert_close(got, outputs["facial_discriminator/eval"][:, 0])


@pytest.mark.parametrize("network", ["local_enhancer", "global_generator"])
def test_video_generators_reproduce_the_published_output(reference, network):
    state_dict, outputs = reference
    generator, variables = getattr(pytorch, network)(state_dict(network))
    got = jax.jit(generator.apply)(variables, reference_input("condition", (1, 40, 128, 128)))
    assert_close(np.moveaxis(got, -1, 1), outputs[f"{network}/eval"])


def test_multiscale_discriminator_reproduces_every_published_activation(reference):
    state_dict, outputs = reference
    discriminator, variables = pytorch.multiscale_discriminator(
        state_dict("multiscale_discriminator")
    )
    condition = reference_input("condition", (1, 40, 128, 128))
    frame = reference_input("frame", (1, 3, 128, 128))
    got = jax.jit(discriminator.apply)(variables, np.concatenate([condition, frame], axis=-1))
    for i, scale in enumerate(got):
        for j, activation in enumerate(scale):
            expected = outputs[f"multiscale_discriminator/scale{i}/layer{j}"]
            # The inner activations are stored with 11 significant bits.
            tolerance = 1e-4 if expected.dtype == np.float32 else 1e-3
            assert_close(np.moveaxis(activation, -1, 1), expected.astype(np.float32), tolerance)


@pytest.mark.parametrize("index", range(3))
def test_shape_texture_normals_camera_light_and_landmarks_match_the_published_code(
    index,
):
    expected = np.load(REFERENCE / "tiny_bfm_expected.npz")
    model = load_bfm(REFERENCE / "tiny_bfm_model_front.mat")
    c = jnp.asarray(expected["coefficients"][index], jnp.float32)
    identity, expression, texture = c[:80], c[80:144], c[144:224]
    angles, illumination, translation = c[224:227], c[227:254].reshape(3, 9), c[254:257]

    shape = face_shape(model, identity, expression)
    albedo = face_texture(model, texture)
    normals = vertex_normals(shape, model.triangles, model.vertex_triangles)
    rotation = rotation_from_euler(angles)
    camera = pinhole_camera((224, 224))
    in_camera = camera_vertices(camera, transform_vertices(shape, rotation, translation))
    lit = shade(albedo, transform_vertices(normals, rotation, jnp.zeros(3)), illumination)
    landmarks = face_landmarks(model, project_to_pixels(camera, in_camera))

    assert_close(shape, expected["shape"][index])
    assert_close(albedo, expected["texture"][index])
    assert_close(normals, expected["normals"][index])
    assert_close(rotation.T, expected["rotation_applied_on_the_right"][index])
    assert_close(in_camera, expected["camera_vertices"][index])
    assert_close(lit, expected["lit_color"][index])
    # The published landmarks have y up; pixels here have y down.
    landmarks = jnp.stack([landmarks[:, 0], 224 - landmarks[:, 1]], axis=-1)
    assert_close(landmarks, expected["landmarks"][index])


def test_published_mask_lies_around_the_eye_landmarks_as_this_region_does():
    """The published mask cannot be recomputed without the licensed geometry.

    What its topology shows: two patches that hold the twelve eye landmarks and no other, and reach
    past the corners of the eyes by about a quarter of an eye's width, counted along edges.
    """
    mask = np.load(REFERENCE / "official_eyemask.npy")
    info = loadmat(shared_path("topology/facemodel_info.mat"))
    triangles = info["tri"].astype(int) - 1
    landmarks = info["keypoints"][0].astype(int) - 1
    assert set(np.nonzero(mask[landmarks])[0]) == set(range(36, 48))
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    ones = np.ones(len(edges))
    graph = sparse.coo_matrix((ones, (edges[:, 0], edges[:, 1])), shape=(mask.size,) * 2).tocsr()
    graph = graph + graph.T
    assert sparse.csgraph.connected_components(graph[mask][:, mask])[0] == 2
    steps = sparse.csgraph.dijkstra(graph, indices=landmarks[[36, 39]], unweighted=True)
    eye_width = steps[0, landmarks[39]]
    beyond = steps[:, ~mask].min(axis=1) / eye_width
    reach = 2 * DEFAULT_THRESHOLD**0.5 / 0.3 - 0.5  # an eye 0.3 dm wide
    np.testing.assert_allclose(beyond, reach, atol=0.08)


def test_the_published_speech_features_are_met():
    reference = np.load(REFERENCE / "obama2_deepspeech_input.npz")
    source = AudioSource(shared_path("speech/obama2.wav"))
    got = mfcc.cepstra(mfcc.log_mel(source.blocks()))
    assert len(got) == reference["n_frames"][1]
    np.testing.assert_allclose(got[:200], reference["mfcc"][::2], atol=1e-3)
    rows = mfcc.deepspeech_input(got)
    np.testing.assert_allclose(rows[:200], reference["input_vector_first200"], atol=1e-3)


def test_the_published_reference_result_can_be_read():
    read = read_published_attributes(REFERENCE / "obama2_official.npz")
    assert read.pose.shape == (731, 6)
    assert np.abs(np.degrees(read.pose[:, :3])).max() < 30
    assert np.abs(read.pose[:, 3:5]).max() < 1.5
    assert ((read.pose[:, 5] > -10) & (read.pose[:, 5] < 5)).all()
