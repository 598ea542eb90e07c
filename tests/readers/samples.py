"""Small whole files of every kind that is read, to be damaged."""

import functools
import io
import json
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
from scipy.io import savemat

from facial_jax.audio.waveform import AudioSource
from facial_jax.data.tracked_clip import load_tracked_clip, save_tracked_clip
from facial_jax.face import bfm
from facial_jax.full_frame import load_full_frame_reference
from facial_jax.interop.tensorflow_graph import read_constants
from facial_jax.interop.torch_checkpoint import read_torch_checkpoint
from facial_jax.models.facial_gan.generation import load_facial_gan
from facial_jax.models.layers.parameters import load_variables
from facial_jax.models.rendering_to_video.reference import load_reference
from facial_jax.rendering.portrait import SHAPES, read_parameters
from facial_jax.subject import load_rendering_to_video
from facial_jax.tracking import published
from facial_jax.tracking.frames import open_frames
from tests.audio import test_deepspeech
from tests.interop import test_torch_checkpoint
from tests.random_clips import random_clip
from tests.subject_folders import KEPT
from tests.tracking.test_published import openface_csv


class Kind(NamedTuple):
    """A kind of file."""

    name: str
    # the file's, which some readers look at
    content: Callable[[], bytes]
    # of a whole one
    read: Callable[[Path], Any]
    # its reader
    wrap: Callable[[bytes], bytes] = bytes
    # makes the file of the content


def mat(arrays: dict[str, np.ndarray], **options) -> bytes:
    file = io.BytesIO()
    savemat(file, arrays, **options)
    return file.getvalue()


def npz(arrays: dict[str, Any], *, compressed: bool = False) -> bytes:
    file = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(file, **arrays)
    return file.getvalue()


def numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def front_model(**options) -> bytes:
    n = 24
    triangles = [[i, i + 1, i + 2] for i in range(1, n - 1)]
    arrays = {
        **{"meanshape": numbers(1, 3 * n), "meantex": np.abs(numbers(1, 3 * n))},
        **{"idBase": numbers(3 * n, 80), "exBase": numbers(3 * n, 64)},
        **{"texBase": numbers(3 * n, 80), "tri": np.array(triangles, float)},
        "keypoints": np.arange(68)[None] % n + 1.0,
    }
    return mat(arrays, **options)


def deep3d() -> bytes:
    parts = {"id": 80, "exp": 64, "tex": 80, "angle": 3, "gamma": 27, "trans": 3}
    return mat({name: numbers(2, columns) for name, columns in parts.items()})


def clip() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = save_tracked_clip(folder, random_clip("a", "a", 20), acoustic="0" * 64)
        return path.read_bytes()


def reference() -> bytes:
    rows = {"expression": numbers(3, 64), "pose": numbers(3, 6), "blink": numbers(3)}
    face = {"identity": numbers(80), "texture": numbers(80), "illumination": numbers(3, 9)}
    return npz(rows | face)


def load_reference_beside(path: Path):
    np.save(path.with_name("frames.npy"), np.zeros((3, 8, 8, 3), np.uint8))
    return load_reference(path.parent)


def surroundings() -> bytes:
    pixels = np.zeros((4, 4, 4), np.uint8)
    grid = {"extent": np.float32([[-2, 2], [2, -2]]), "height": np.zeros((4, 4), np.float32)}
    return npz(grid | {"texture": pixels, "background": np.zeros((8, 8, 3), np.uint8)})


def motion() -> bytes:
    return npz({"displacement": numbers(3, 4, 4, 2), "sway": numbers(3, 5, 33, 2)})


def load_beside_attributes(path: Path):
    path.with_name("attributes.npz").write_bytes(reference())
    return load_reference_beside(path)


def load_frames_beside(path: Path):
    path.with_name("attributes.npz").write_bytes(reference())
    return load_reference(path.parent)


def openface() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return openface_csv(Path(folder) / "a.csv", np.zeros((3, 3))).read_bytes()


def kept(name: str) -> Callable[[], bytes]:
    return (KEPT / "format_1" / name).read_bytes


def state_dict():
    tensor = test_torch_checkpoint.tensor
    return {"a.weight": tensor(numbers(4, 3)), "a.bias": tensor(numbers(4)), "epoch": 3}


def parameters_json() -> bytes:
    return json.dumps({name: np.zeros(shape).tolist() for name, shape in SHAPES.items()}).encode()


def recording(suffix: str, sound: str | None, pictures: str | None) -> bytes:
    """A second of noise, and of a moving square."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a.{suffix}"
        with av.open(str(path), "w") as container:
            tracks = []
            if pictures is not None:
                video = container.add_stream(pictures, rate=10)
                video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
                for i in range(10):
                    image = np.full((48, 64, 3), 40, np.uint8)
                    image[10:30, 3 * i : 3 * i + 20] = 200
                    tracks += video.encode(av.VideoFrame.from_ndarray(image, format="rgb24"))
                tracks += video.encode(None)
            if sound is not None:
                audio = container.add_stream(sound, rate=16000, layout="mono")
                samples = (rng.uniform(-0.3, 0.3, (1, 16000)) * 32767).astype(np.int16)
                frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
                frame.sample_rate, frame.pts, frame.time_base = 16000, 0, Fraction(1, 16000)
                tracks += [*audio.encode(frame), *audio.encode(None)]
            for packet in tracks:
                container.mux(packet)
        return path.read_bytes()


def read_sound(path: Path):
    source = AudioSource(path)
    count = sum(len(block) for block in source.blocks())
    return count, source.duration


def read_pictures(path: Path):
    frames = open_frames(path)
    return sum(1 for _ in frames.read(max_side=64)), frames.fps


def npy_of(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def archive_of(name: str, *, entry: bytes, others: dict[str, bytes] | None = None) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for key, value in {name: entry, **(others or {})}.items():
            archive.writestr(key, value)
    return file.getvalue()


def matrix() -> bytes:
    """A file's one matrix, without the file's header."""
    return mat({"coeff": numbers(2, 257)})[128:]


def packed_matrix(element: bytes) -> bytes:
    packed = zlib.compress(element)
    header = mat({"coeff": numbers(1)})[:128]
    return header + struct.pack("<II", 15, len(packed)) + packed


def inner_pickle() -> bytes:
    with zipfile.ZipFile(io.BytesIO(test_torch_checkpoint.zip_file(state_dict()))) as archive:
        return archive.read("archive/data.pkl")


def checkpoint_around(pickle: bytes) -> bytes:
    storages = {f"archive/data/{i}": numbers(12 - 8 * i).tobytes() for i in range(2)}
    return archive_of("archive/data.pkl", entry=pickle, others=storages)


KINDS = {
    # Damaged inside: the sums over what is packed are right.
    "array within an archive": Kind(
        "a.npz",
        lambda: npy_of(np.abs(numbers(3, 71))),
        published.read_published_attributes,
        lambda entry: archive_of("face.npy", entry=entry),
    ),
    "packed matrix": Kind("1.mat", matrix, published.read_deep3d, packed_matrix),
    "pickle within an archive": Kind(
        "a.pth", inner_pickle, read_torch_checkpoint, checkpoint_around
    ),
    # Damaged anywhere.
    "BFM front model": Kind("BFM_model_front.mat", front_model, bfm.load_bfm),
    "BFM front model, packed": Kind(
        "BFM_model_front.mat", functools.partial(front_model, do_compression=True), bfm.load_bfm
    ),
    "BFM index": Kind(
        bfm.FRONT_INDEX,
        lambda: mat({"idx": np.arange(1.0, 40.0)}),
        lambda path: bfm._read_indices(path, "idx", 100),
    ),
    "BFM deviations": Kind(bfm.DEVIATIONS, lambda: b"1.0 2.5 3e2\n" * 30, bfm._read_floats),
    "Deep3D": Kind("000001.mat", deep3d, published.read_deep3d),
    "OpenFace": Kind("a.csv", openface, published.read_openface),
    "clip": Kind("clip.npz", clip, load_tracked_clip),
    "posenew": Kind("a.npz", lambda: npz({"face": numbers(3, 258)}), published.read_posenew),
    "published attributes, packed": Kind(
        "a.npz",
        lambda: npz({"face": np.abs(numbers(3, 71))}, compressed=True),
        published.read_published_attributes,
    ),
    "reference attributes": Kind("attributes.npz", reference, load_reference_beside),
    "reference frames": Kind(
        "frames.npy", lambda: npy_of(np.zeros((3, 8, 8, 3), np.uint8)), load_frames_beside
    ),
    "reference surroundings": Kind("surroundings.npz", surroundings, load_beside_attributes),
    "reference motion": Kind("motion.npz", motion, load_beside_attributes),
    "parameters": Kind("face.json", parameters_json, read_parameters),
    "parameters, npz": Kind(
        "face.npz", lambda: npz({k: numbers(*v) for k, v in SHAPES.items()}), read_parameters
    ),
    "weights": Kind("a.safetensors", kept("rendering_to_video.safetensors"), load_variables),
    "FACIAL-GAN": Kind("a.safetensors", kept("facial_gan.safetensors"), load_facial_gan),
    "rendering-to-video": Kind(
        "a.safetensors", kept("rendering_to_video.safetensors"), load_rendering_to_video
    ),
    "full frames": Kind(
        "full_frame.mp4",
        kept("full_frame.mp4"),
        lambda path: load_full_frame_reference(path.parent),
    ),
    "PyTorch": Kind(
        "a.pth", lambda: test_torch_checkpoint.zip_file(state_dict()), read_torch_checkpoint
    ),
    "PyTorch, older layout": Kind(
        "a.pth", lambda: test_torch_checkpoint.legacy_file(state_dict()), read_torch_checkpoint
    ),
    "TensorFlow": Kind(
        "a.pb",
        lambda: test_deepspeech.graph({"a": numbers(3, 4), "b": numbers(5)}),
        read_constants,
    ),
    **{
        f"sound, {suffix}": Kind(
            f"a.{suffix}", functools.partial(recording, suffix, codec, None), read_sound
        )
        for suffix, codec in (("wav", "pcm_s16le"), ("flac", "flac"), ("m4a", "aac"))
    },
    **{
        f"video, {suffix}": Kind(
            f"a.{suffix}", functools.partial(recording, suffix, sound, pictures), read_pictures
        )
        for suffix, sound, pictures in (
            ("mp4", "aac", "libx264"),
            ("mkv", "pcm_s16le", "mpeg4"),
            ("ts", "mp2", "mpeg2video"),
        )
    },
}
