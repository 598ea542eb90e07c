"""A talking head as an animated glTF file, which Blender and other 3D programs play.

The mesh is the person at rest, in their colours. Morph targets are the 64 expression components,
the closed lids if the face model has them, and, if the face's shape changes from frame to frame
(PGFace), the few directions in which it does. Keyframes are the video's frames.
"""

from dataclasses import dataclass
from fractions import Fraction

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from facial_jax.attributes import MAX_BLINK, Attributes, Identity
from facial_jax.face.gltf import HeadAnimation, encode_glb
from facial_jax.face.model import FaceModel, face_shape, face_texture, vertex_normals

IDENTITY_SHARE = 0.999
"""Share of the squared displacements by the identities that the file keeps."""
_SMALLEST_EIGENVALUE = 1e-9  # of the largest: what moves no vertex
_STILL_DM = 1e-5  # an identity that moves vertices by less, on average, does not change


@dataclass(frozen=True)
class IdentityMotion:
    """Identities of t frames, in k directions."""

    mean: Float[np.ndarray, "80"]
    # coefficients of the face at rest
    directions: Float[np.ndarray, "k 80"]
    # coefficients that a weight of one adds
    weights: Float[np.ndarray, "t k"]
    # within [-1, 1]
    error_mm: float
    # root mean square over frames and vertices of what the directions leave out


def identity_motion(
    basis: Float[np.ndarray, "n 3 80"],
    identity: Float[np.ndarray, "t 80"],
    *,
    share: float = IDENTITY_SHARE,
) -> IdentityMotion:
    """The principal directions of the vertices' displacements by changing identities.

    As many of them as carry the share of the squared displacements. The displacements are quadratic
    in the coefficients, so that no vertex is needed: only the basis' Gram matrix.

    Args:
        basis: decimetres per standard deviation.
        identity: coefficients of every frame.
        share: of the squared displacements from the mean face, to be kept.
    """
    count = len(basis)
    flat = np.asarray(basis, np.float64).reshape(-1, basis.shape[-1])
    values, vectors = np.linalg.eigh(flat.T @ flat)
    root = np.sqrt(np.maximum(values, _SMALLEST_EIGENVALUE * values.max()))
    mean = np.asarray(identity, np.float64).mean(axis=0)
    # In these coordinates a coefficient vector is as long as it moves the vertices.
    moved = (identity - mean) @ (vectors * root)
    energies, directions = np.linalg.eigh(moved.T @ moved)
    energies, directions = np.maximum(energies[::-1], 0.0), directions[:, ::-1]
    left = energies.sum() - np.cumsum(energies)
    kept = int(np.argmax(left <= (1.0 - share) * energies.sum())) + 1
    if np.sqrt(energies.sum() / (len(identity) * count)) < _STILL_DM:
        kept = 0
    directions = directions[:, :kept]
    weights = moved @ directions
    largest = np.abs(weights).max(axis=0, initial=0.0)
    rest = energies[kept:].sum()
    return IdentityMotion(
        mean=mean.astype(np.float32),
        directions=((vectors / root) @ (directions * largest)).T.astype(np.float32),
        weights=(weights / largest).astype(np.float32),
        error_mm=float(100.0 * np.sqrt(rest / (len(identity) * count))),
    )


def head_quaternions(angles_rad: Float[np.ndarray, "t 3"]) -> Float[np.ndarray, "t 4"]:
    """Unit quaternions x, y, z, w of pitch, yaw and roll (see `rotation_from_euler`).

    Of the two quaternions of a rotation it is the one nearer to the frame before, so that programs
    which interpolate them plainly turn the head the short way.
    """
    from scipy.spatial.transform import Rotation  # slow to import, and seldom needed

    quaternions = Rotation.from_euler("xyz", angles_rad).as_quat()
    flips = np.sum(quaternions[1:] * quaternions[:-1], axis=1) < 0
    sign = np.where(np.cumsum(np.concatenate([[0], flips])) % 2, -1.0, 1.0)
    return (quaternions * sign[:, None]).astype(np.float32)


def encode_animated_head(
    model: FaceModel,
    person: Identity,
    attributes: Attributes,
    fps: Fraction,
    *,
    expression_names: tuple[str, ...] = (),
    lids: tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, "n 3"]] | None = None,
    comment: str = "",
) -> bytes:
    """A .glb whose head moves as these attributes say, a keyframe for each of them.

    Args:
        model: the face model, with the person's colours as its texture (see `person_face_model`).
        person: shape and texture; the light stays behind.
        attributes: (t) frames, t ≥ 1.
        fps: frames per second.
        expression_names: of the first expression components; the others are numbered.
        lids: displacements in dm that close the eye left and right in the picture; None: the blink
            moves nothing.
        comment: see `encode_glb`.
    """
    expression, blink = np.asarray(attributes.expression), np.asarray(attributes.blink)
    count = len(expression)
    identity = (
        np.asarray(person.identity)[None]
        if attributes.identity is None
        else np.asarray(attributes.identity)
    )
    shape = identity_motion(np.asarray(model.identity_basis), identity)
    first = len(expression_names)
    names = [*expression_names, *(f"expression_{i:02d}" for i in range(first, 64))]
    targets = [np.moveaxis(np.asarray(model.expression_basis), -1, 0)]
    weights = [expression]
    if lids is not None:
        names += ["blink_left", "blink_right"]
        targets.append(np.stack(lids))
        weights.append(np.repeat(blink[:, None] / MAX_BLINK, 2, axis=1))
    if len(shape.directions):
        names += [f"identity_{i:02d}" for i in range(len(shape.directions))]
        targets.append(np.einsum("nck,dk->dnc", np.asarray(model.identity_basis), shape.directions))
        weights.append(shape.weights)
        comment += (
            f"; of the shape's changes {IDENTITY_SHARE:.1%} are kept, "
            f"{shape.error_mm:.4f} mm (root mean square) are left out"
        )
    vertices = face_shape(model, jnp.asarray(shape.mean), jnp.zeros(64))
    weights = np.concatenate(weights, axis=1).astype(np.float32)
    return encode_glb(
        np.asarray(vertices),
        np.asarray(vertex_normals(vertices, model.triangles, model.vertex_triangles)),
        np.asarray(face_texture(model, jnp.asarray(person.texture))),
        np.asarray(model.triangles),
        targets=np.concatenate(targets),
        target_names=names,
        target_weights=weights[0],
        animation=HeadAnimation(
            times_s=np.arange(count) / float(fps),
            weights=weights,
            rotation=head_quaternions(np.asarray(attributes.pose[:, :3])),
            translation=np.asarray(attributes.pose[:, 3:], np.float32),
        ),
        comment=comment,
    )
