"""A clip of a talking head: what every data set is made of, and where clips are read from.

A source of clips has a table of them, so that windows can be chosen before a single clip is read.
"""

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from jaxtyping import Bool

from facial_jax.attributes import (
    EXPRESSION_SIZE,
    GAZE_SIZE,
    IDENTITY_SIZE,
    MAX_BLINK,
    POSE_SIZE,
    Attributes,
    Identity,
)
from facial_jax.frame_rate import parse_frame_rate
from facial_jax.provenance import tree_hash

SAMPLE_RATE = 16000
_MAX_ANGLE_RAD = np.pi / 2
_MAX_DRIFT_S = 0.1


@dataclass(frozen=True)
class Clip:
    """One person talking without a cut; t frames."""

    clip: str
    # the clip's name, different from all others in its data set
    subject: str
    # the person's name
    fps: str
    # frames per second as a fraction, such as "25" or "30000/1001"
    waveform: np.ndarray
    # (samples,) int16, mono, 16 kHz; as long as the frames
    features: np.ndarray
    # (t, n) float32, an acoustic model's speech features, one row per frame
    expression: np.ndarray
    # (t, 64) float32, coefficients of the face model's expression basis
    pose: np.ndarray
    # (t, 6) float32: pitch, yaw, roll in radians; x, y, z in decimetres
    blink: np.ndarray
    # (t,) float32, intensity of AU45: 0 = open, 5 = closed
    valid: np.ndarray
    # (t,) bool, True where a face was seen, or was bridged between frames where it was
    identity: np.ndarray
    # (80,) float32, shape coefficients in standard deviations
    texture: np.ndarray
    # (80,) float32, texture coefficients in standard deviations
    illumination: np.ndarray
    # (3, 9) float32, spherical-harmonics light of red, green and blue
    frame_identity: np.ndarray | None = None
    # (t, 80) float32, shape coefficients of every frame, as reconstructions of single frames give
    # them: around `identity`, and with pose and speech. None: the shape is `identity` throughout
    gaze: np.ndarray | None = None
    # (t, 2, 2) float32, pitch and yaw of either eye relative to the head in radians, the picture's
    # left eye first. None: not measured

    def __len__(self) -> int:
        return len(self.blink)

    @property
    def frame_rate(self) -> Fraction:
        """Frames per second."""
        return parse_frame_rate(self.fps)

    @property
    def attributes(self) -> Attributes:
        """Expression, pose, blink and gaze of every frame: what faces are rendered with.

        Its identity is None, also if the clip has a `frame_identity`: fitted to single frames, it
        has a noise with which a rendered face would shake. `identities` has it, for PGFace.
        """
        gaze = None if self.gaze is None else self.gaze.mean(axis=1)
        return Attributes(expression=self.expression, pose=self.pose, blink=self.blink, gaze=gaze)

    @property
    def identities(self) -> np.ndarray:
        """(t, 80) shape coefficients of every frame; all alike if the clip has but one."""
        if self.frame_identity is not None:
            return self.frame_identity
        return np.broadcast_to(self.identity, (len(self), len(self.identity)))

    @property
    def face(self) -> Identity:
        """The person and the light."""
        return Identity(
            identity=self.identity, texture=self.texture, illumination=self.illumination
        )


TEXT_FIELDS = ("clip", "subject", "fps")
OPTIONAL_FIELDS = ("frame_identity", "gaze")
"""Arrays that a clip may lack."""
ARRAY_FIELDS = tuple(
    f.name for f in dataclasses.fields(Clip) if f.name not in (*TEXT_FIELDS, *OPTIONAL_FIELDS)
)
SHAPES = {
    "waveform": (None,),
    "features": ("t", None),
    "expression": ("t", EXPRESSION_SIZE),
    "pose": ("t", POSE_SIZE),
    "blink": ("t",),
    "valid": ("t",),
    "identity": (IDENTITY_SIZE,),
    "texture": (IDENTITY_SIZE,),
    "illumination": (3, 9),
    "frame_identity": ("t", IDENTITY_SIZE),
    "gaze": ("t", 2, GAZE_SIZE),
}
DTYPES = {"waveform": np.int16, "valid": np.bool_}


def check_clip(clip: Clip) -> None:
    """Says what is wrong with a clip.

    Raises:
        ValueError: a shape, type, unit or length is not what `Clip` says, a valid frame or the
            identity holds NaN or infinity, or no frame is valid.
    """
    for name in TEXT_FIELDS:
        value = getattr(clip, name)
        if not isinstance(value, str) or not value:
            raise ValueError(f"{name}: expected a text that is not empty, got {value!r}")
    rate = parse_frame_rate(clip.fps)
    t = np.shape(clip.blink)[0] if np.ndim(clip.blink) == 1 else "t"
    arrays = clip_arrays(clip)
    for name, array in arrays.items():
        shape = tuple(t if n == "t" else n for n in SHAPES[name])
        dtype = np.dtype(DTYPES.get(name, np.float32))
        if not isinstance(array, np.ndarray) or array.dtype != dtype:
            got = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
            raise ValueError(f"{name}: expected an array of {dtype}, got {got}")
        fits = array.ndim == len(shape) and all(
            n is None or n == m for n, m in zip(shape, array.shape, strict=True)
        )
        if not fits:
            expected = ", ".join("any" if n is None else str(n) for n in shape)
            raise ValueError(
                f"{name}: expected the shape ({expected}) in a clip of {t} frames, "
                f"got {array.shape}"
            )
    if not clip.valid.any():
        raise ValueError(f"valid: expected a face in at least one of {len(clip)} frames, got none")
    for name, array in arrays.items():
        rows = array[clip.valid] if "t" in SHAPES[name] and name != "features" else array
        if array.dtype.kind == "f" and not np.isfinite(rows).all():
            raise ValueError(
                f"{name}: expected finite numbers in valid frames, got NaN or infinity"
            )
    angle = float(np.abs(clip.pose[clip.valid, :3]).max())
    if angle > _MAX_ANGLE_RAD:
        raise ValueError(
            f"pose: expected angles in radians, up to {_MAX_ANGLE_RAD:.2f}, got {angle:.2f}; "
            "are they in degrees?"
        )
    blink = clip.blink[clip.valid]
    if blink.min() < -1e-3 or blink.max() > MAX_BLINK + 1e-3:
        raise ValueError(
            f"blink: expected AU45 intensities from 0 to 5, got {blink.min():.2f} to "
            f"{blink.max():.2f}"
        )
    sound_s, video_s = len(clip.waveform) / SAMPLE_RATE, float(len(clip) / rate)
    if abs(sound_s - video_s) > _MAX_DRIFT_S:
        raise ValueError(
            f"waveform: expected the {video_s:.2f} s that {len(clip)} frames last at "
            f"{clip.fps} per second, got {sound_s:.2f} s at 16 kHz"
        )


def clip_arrays(clip: Clip) -> dict[str, np.ndarray]:
    """By name, the arrays that the clip has."""
    optional = {name: getattr(clip, name) for name in OPTIONAL_FIELDS}
    present = {name: array for name, array in optional.items() if array is not None}
    return {name: getattr(clip, name) for name in ARRAY_FIELDS} | present


def clip_to_example(clip: Clip) -> dict:
    """Its texts and the arrays that it has, by name."""
    return {name: getattr(clip, name) for name in TEXT_FIELDS} | clip_arrays(clip)


def clip_from_example(example: dict) -> Clip:
    """The inverse of `clip_to_example`, after TFDS has stored and read it; arrays are read-only.

    An optional array without rows is one that the clip has not.
    """
    texts = {name: example[name].decode("utf-8") for name in TEXT_FIELDS}
    names = (*ARRAY_FIELDS, *(name for name in OPTIONAL_FIELDS if len(example.get(name, ()))))
    return Clip(**texts, **{name: np.asarray(example[name]) for name in names})


@dataclass(frozen=True)
class ClipEntry:
    """A clip's line in the table of its data set."""

    clip: str
    subject: str
    segments: tuple[tuple[int, int], ...]
    # the runs of valid frames: first frame, first frame after it

    def to_row(self) -> list:
        """As JSON stores it."""
        return [self.clip, self.subject, [list(segment) for segment in self.segments]]

    @staticmethod
    def from_row(row: list) -> "ClipEntry":
        """The inverse of `to_row`."""
        name, subject, segments = row
        return ClipEntry(name, subject, tuple((int(a), int(b)) for a, b in segments))


def clip_entry(clip: Clip) -> ClipEntry:
    """The clip's line."""
    return ClipEntry(clip.clip, clip.subject, valid_segments(clip.valid))


def valid_segments(valid: Bool[np.ndarray, "t"]) -> tuple[tuple[int, int], ...]:
    """The runs of valid frames: first frame, first frame after it."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], valid.astype(np.int8), [0]])))
    return tuple((int(a), int(b)) for a, b in edges.reshape(-1, 2))


def clips_hash(clips: "ClipSource") -> str:
    """SHA-256 of all that trainings read of these clips.

    Names of clips and people do not count, only which clips share a person; nor does the sound,
    which trainings read as speech features.
    """
    subjects: dict[str, int] = {}
    digest = hashlib.sha256()
    for index in range(len(clips)):
        clip = clips[index]
        arrays = {name: x for name, x in clip_arrays(clip).items() if name != "waveform"}
        person = subjects.setdefault(clip.subject, len(subjects))
        digest.update(tree_hash({**arrays, "fps": clip.fps, "person": person}).encode())
    return digest.hexdigest()


class ClipSource:
    """The clips of one split, read one by one as they are asked for."""

    def __init__(self, entries: tuple[ClipEntry, ...], source, metadata: dict):
        self.entries, self.metadata = entries, metadata
        self._source = source

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int) -> Clip:
        if not 0 <= index < len(self):
            raise IndexError(f"index: expected 0 to {len(self) - 1}, got {index}")
        return clip_from_example(self._source[index])

    @property
    def subjects(self) -> tuple[str, ...]:
        """Who speaks in these clips, in order of their names."""
        return tuple(sorted({entry.subject for entry in self.entries}))

    def of_subject(self, subject: str) -> "ClipSource":
        """The clips of one person.

        Raises:
            ValueError: nobody of this name speaks here.
        """
        chosen = [i for i, entry in enumerate(self.entries) if entry.subject == subject]
        if not chosen:
            raise ValueError(
                f"subject: expected one of {', '.join(self.subjects)}, got {subject!r}"
            )
        entries = tuple(self.entries[i] for i in chosen)
        return ClipSource(entries, _Chosen(self._source, chosen), self.metadata)

    def first(self, count: int) -> "ClipSource":
        """The first `count` clips, or all if there are fewer."""
        return ClipSource(self.entries[:count], self._source, self.metadata)


def clips_in_memory(*clips: Clip) -> ClipSource:
    """A source of these clips."""
    examples = [
        {k: v.encode() if isinstance(v, str) else v for k, v in clip_to_example(clip).items()}
        for clip in clips
    ]
    return ClipSource(tuple(map(clip_entry, clips)), examples, {})


def joined_clips(sources: Sequence[ClipSource]) -> ClipSource:
    """The clips of several sources, one source after the other, with the first one's metadata."""
    entries = tuple(entry for source in sources for entry in source.entries)
    places = [(source._source, index) for source in sources for index in range(len(source))]
    return ClipSource(entries, _Joined(places), sources[0].metadata)


def clip_part(clip: Clip, begin: int, end: int) -> Clip:
    """The frames `begin` … `end` − 1 of a clip, and their sound."""
    rate = len(clip.waveform) / len(clip)
    rows = {
        name: array[begin:end]
        for name, array in clip_arrays(clip).items()
        if SHAPES[name][0] == "t"
    }
    waveform = clip.waveform[round(begin * rate) : round(end * rate)]
    return dataclasses.replace(clip, waveform=waveform, **rows)


class _Chosen:
    def __init__(self, source, indices: list[int]):
        self._source, self._indices = source, indices

    def __getitem__(self, index: int):
        return self._source[self._indices[index]]


class _Joined:
    def __init__(self, places: list[tuple]):
        self._places = places

    def __getitem__(self, index: int):
        source, place = self._places[index]
        return source[place]
