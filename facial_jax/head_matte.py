"""Where a head is in whole frames: mattes that move with it, for putting it in and taking it out.

The head's shell (`facial_jax.rendering.surroundings`) knows how opaque each of its points is. Drawn
at a pose, it is the matte of head, hair and neck at that pose, and as steady as the pose.
"""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from facial_jax.compilation import in_batches, jit
from facial_jax.pictures import disc, opencv
from facial_jax.rendering.camera import Camera, pinhole_camera
from facial_jax.rendering.displacement import grid_place
from facial_jax.rendering.mapping import map_frames
from facial_jax.rendering.sampling import sample_bilinear
from facial_jax.rendering.surroundings import Surroundings, shell_seen, usual_motion

MATTE_SIDE = 128
"""Pixels of a matte along the head's square."""
BATCH_FRAMES = 16
"""Mattes drawn together."""
WIDENED_DM, REMOVED_DM = 0.04, 0.3
"""How far beyond the shell's opaque points the generated head is taken, and the reference's away:
single hairs stand off a head, and lie elsewhere in every frame."""


@dataclass(frozen=True)
class Matte:
    """How much of each point of a head's shell is taken."""

    opacity: Float[np.ndarray, "mh mw"]
    # in [0, 1]; 0 at its edges
    extent: Float[np.ndarray, "2 2"]
    # as `Surroundings.extent`


@dataclass(frozen=True)
class Region:
    """A rectangle of whole frames around the square that heads are put into, and its mattes."""

    left: int
    # in pixels of the frames
    top: int
    # in pixels of the frames
    width: int
    # in pixels of the frames
    height: int
    # in pixels of the frames
    side: int
    # of the square
    corner: tuple[int, int]
    # (left, top) of the square in the rectangle

    @property
    def matte_size(self) -> tuple[int, int]:
        """(height, width) of the mattes."""
        return tuple(max(1, round(n * MATTE_SIDE / self.side)) for n in (self.height, self.width))

    def of(self, picture: Shaped[np.ndarray, "h w *c"]) -> Shaped[np.ndarray, "rh rw *c"]:
        """The part of a picture that lies in it, a view."""
        rows = slice(self.top, self.top + self.height)
        return picture[rows, self.left : self.left + self.width]

    @property
    def camera(self) -> Camera:
        """What sees the head at its pose, for the mattes."""
        (left, top), scale = self.corner, MATTE_SIDE / self.side
        camera, middle = pinhole_camera((MATTE_SIDE, MATTE_SIDE)), MATTE_SIDE / 2
        center = jnp.array([middle + left * scale, middle + top * scale], jnp.float32)
        return camera.replace(center_px=center)


def head_region(size: tuple[int, int], crop: tuple[int, int, int], margin: float) -> Region:
    """The square and a margin around it, within the frame.

    Args:
        size: (height, width) of the frame in pixels.
        crop: (left, top, side) of the square.
        margin: in sides of the square.
    """
    left, top, side = crop
    wide = round(margin * side)
    first = max(0, left - wide), max(0, top - wide)
    last = min(size[1], left + side + wide), min(size[0], top + side + wide)
    return Region(
        left=first[0],
        top=first[1],
        width=last[0] - first[0],
        height=last[1] - first[1],
        side=side,
        corner=(left - first[0], top - first[1]),
    )


def shell_mattes(surroundings: Surroundings) -> tuple[Matte, Matte]:
    """Those of a head that is put in, and of one that is taken out."""
    cv2 = opencv()
    opacity = np.asarray(surroundings.texture)[..., 3].astype(np.float32) / 255
    extent = np.asarray(surroundings.extent)
    texels = (extent[1] - extent[0]) / (np.array(opacity.shape[::-1]) - 1)

    def widened(by):
        radius = max(1, round(by / float(texels[0])))
        # As far as it is widened and then blurred; what is beyond is read from the edge.
        beyond = 2 * radius + 1
        padded = np.pad(opacity, beyond)
        around = disc(by / float(texels[0]))
        wider = cv2.dilate(cv2.morphologyEx(padded, cv2.MORPH_CLOSE, around), around)
        matte = cv2.GaussianBlur(wider, (0, 0), radius / 3)
        matte[[0, -1]] = 0
        matte[:, [0, -1]] = 0
        return Matte(matte, (extent + beyond * np.array([-texels, texels])).astype(np.float32))

    return widened(WIDENED_DM), widened(REMOVED_DM)


def draw_matte(
    matte: Matte,
    surroundings: Surroundings,
    pose: Float[np.ndarray, "t 6"],
    region: Region,
) -> tuple[Float[np.ndarray, "t h w"], Float[np.ndarray, "t h w 2"]]:
    """A matte of `shell_mattes` as seen in a region, and where: x and y, head space, decimetres.

    Args:
        matte: of the shell.
        surroundings: the person's, with the shell's height.
        pose: of the head in each frame, rad and dm.
        region: what is looked at.
    """

    def draw(index):
        poses = jnp.asarray(pose[index], jnp.float32)
        return _draw(
            jnp.asarray(matte.opacity[..., None]),
            jnp.asarray(matte.extent),
            jnp.asarray(surroundings.height),
            jnp.asarray(surroundings.extent),
            poses,
            usual_motion(surroundings, poses).displacement,
            region.camera,
            size=region.matte_size,
        )

    drawn = in_batches(draw, len(pose), BATCH_FRAMES)
    return drawn[..., 0], drawn[..., 1:]


def full_size(matte: Float[np.ndarray, "mh mw"], region: Region) -> Float[np.ndarray, "h w"]:
    """A matte for every pixel of its region."""
    cv2 = opencv()
    size = region.width, region.height
    return cv2.resize(np.ascontiguousarray(matte), size, interpolation=cv2.INTER_LINEAR)


@jit(static_argnames=("size",))
def _draw(
    matte: Float[Array, "mh mw 1"],
    matte_extent: Float[Array, "2 2"],
    height: Float[Array, "gh gw"],
    extent: Float[Array, "2 2"],
    pose: Float[Array, "t 6"],
    displacement: Float[Array, "t dh dw 2"] | None,
    camera: Camera,
    *,
    size: tuple[int, int],
) -> Float[Array, "t h w 3"]:
    def draw(pose, displacement):
        seen = shell_seen(height, extent, pose, camera, size, displacement)
        head = sample_bilinear(matte, grid_place(seen, matte_extent, matte.shape))
        return jnp.concatenate([head, seen], axis=-1)

    return map_frames(draw, pose, displacement)
