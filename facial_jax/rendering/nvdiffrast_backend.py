"""Rasterizer backend: nvdiffrast's CUDA kernels inside jit.  Optional; CUDA only.

`rasterize`, `interpolate`, `antialias` and `draw_antialiased` take and give what their namesakes in
this package do, and may be jitted, vmapped and differentiated in reverse mode. Their work is done
by the kernels of Laine et al., "Modular primitives for high-performance differentiable rendering"
(2020), on XLA's own buffers and CUDA stream: `buffer_callback` hands over the buffers, PyTorch
wraps them without a copy (DLPack), and results are copied from device memory to device memory.

Where nvdiffrast differs from the XLA backend: it snaps vertices to 1/16 of a pixel, so that a pixel
whose centre lies that near to an edge may show the other triangle, even one seen almost edge-on,
whose u and v change a thousand times as fast as others'; it keeps u and v in [0, 1]; it blends
across a silhouette that passes up to 1/16 of a pixel beyond a pixel's centre; z/w passes no
gradient; an edge with more than two triangles is no sure silhouette. Where both show the same
triangles, their gradients are the same.
"""

import contextlib
import functools
import importlib.metadata
import importlib.util
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import custom_vmap
from jax.experimental.buffer_callback import buffer_callback
from jaxtyping import Array, Float, Int

from facial_jax.backend import on_gpu

_MAX_EXACT_INDEX = 1 << 24  # integers up to this are exact in float32
_SUPPORTED = "0.4."  # the versions of nvdiffrast whose C++ interface, a private one, is used here

_Shape = tuple[int, ...]


def rasterize(
    positions: Float[Array, "*b n 4"],
    triangles: Int[Array, "f 3"],
    size: tuple[int, int],
    *,
    cull_backfaces: bool = False,
) -> Float[Array, "*b h w 4"]:
    """As `facial_jax.rendering.rasterizer.rasterize`, by nvdiffrast.

    The same arguments, but for `block`, and the same result.

    Raises:
        RuntimeError: if PyTorch or nvdiffrast is not installed, or JAX or PyTorch sees no CUDA
            device; the message says how to install what is missing.
        ValueError: if positions are not float32, the image is empty or there are more than 2^24
            triangles (their indices would not be exact in float32).
    """
    _check_rasterized(positions, triangles, size)
    height, width = size
    batch = positions.shape[:-2]
    if triangles.shape[0] == 0 or positions.size == 0:
        return jnp.zeros((*batch, height, width, 4), jnp.float32)
    flat = _rasterize(
        positions.reshape(-1, *positions.shape[-2:]),
        triangles.astype(jnp.int32),
        (height, width),
        cull_backfaces,
    )
    return flat.reshape(*batch, height, width, 4)


def interpolate(
    attributes: Float[Array, "*b n c"],
    rast: Float[Array, "*b h w 4"],
    triangles: Int[Array, "f 3"],
) -> Float[Array, "*b h w c"]:
    """As `facial_jax.rendering.interpolate.interpolate`, by nvdiffrast; raises as `rasterize`."""
    _require_float32(attributes=attributes, rast=rast)
    out_shape = (*rast.shape[:-1], attributes.shape[-1])
    if triangles.shape[0] == 0 or attributes.size == 0 or rast.size == 0:
        return jnp.zeros(out_shape, jnp.float32)
    flat = _interpolate(
        attributes.reshape(-1, *attributes.shape[-2:]),
        rast.reshape(-1, *rast.shape[-3:]),
        triangles.astype(jnp.int32),
    )
    return flat.reshape(out_shape)


def antialias(
    image: Float[Array, "*b h w c"],
    rast: Float[Array, "*b h w 4"],
    positions: Float[Array, "*b n 4"],
    triangles: Int[Array, "f 3"],
    opposite: Int[Array, "f 3"],
) -> Float[Array, "*b h w c"]:
    """As `facial_jax.rendering.antialias.antialias`, by nvdiffrast; raises as `rasterize`.

    `opposite` is not used: nvdiffrast finds the triangles' neighbours on the GPU.
    """
    del opposite
    _require_float32(image=image, rast=rast, positions=positions)
    if triangles.shape[0] == 0 or positions.size == 0 or image.size == 0:
        return image
    flat = _antialias(
        image.reshape(-1, *image.shape[-3:]),
        rast.reshape(-1, *rast.shape[-3:]),
        positions.reshape(-1, *positions.shape[-2:]),
        triangles.astype(jnp.int32),
    )
    return flat.reshape(image.shape)


def draw_antialiased(
    positions: Float[Array, "*b n 4"],
    attributes: Float[Array, "*b n c"],
    triangles: Int[Array, "f 3"],
    opposite: Int[Array, "f 3"],
    size: tuple[int, int],
    *,
    cull_backfaces: bool = False,
) -> tuple[Float[Array, "*b h w c"], Float[Array, "*b h w 1"]]:
    """As `facial_jax.rendering.backend.draw_antialiased`, in one call of PyTorch each way.

    Three calls would wait for Python, and copy what one operation hands to the next. Raises as
    `rasterize`. `opposite` is not used: nvdiffrast finds the triangles' neighbours on the GPU.
    """
    del opposite
    _check_rasterized(positions, triangles, size)
    _require_float32(attributes=attributes)
    batch, channels = positions.shape[:-2], attributes.shape[-1]
    if triangles.shape[0] == 0 or positions.size == 0:
        return jnp.zeros((*batch, *size, channels)), jnp.zeros((*batch, *size, 1))
    # What is drawn of ones is the coverage.
    attributes = jnp.concatenate([attributes, jnp.ones_like(attributes[..., :1])], axis=-1)
    image = _picture(
        positions.reshape(-1, *positions.shape[-2:]),
        attributes.reshape(-1, *attributes.shape[-2:]),
        triangles.astype(jnp.int32),
        tuple(size),
        cull_backfaces,
    ).reshape(*batch, *size, channels + 1)
    return image[..., :-1], image[..., -1:]


def _check_rasterized(positions: Array, triangles: Array, size: tuple[int, int]) -> None:
    height, width = size
    if height < 1 or width < 1:
        raise ValueError(f"size: expected (height, width) of at least one pixel, got {size}")
    if triangles.shape[0] > _MAX_EXACT_INDEX:
        raise ValueError(f"triangles: expected at most 2^24 of them, got {triangles.shape[0]}")
    _require_float32(positions=positions)


def _require_float32(**arrays: Array) -> None:
    for name, array in arrays.items():
        if array.dtype != jnp.float32:
            raise ValueError(f"{name}: nvdiffrast computes in float32, got {array.dtype}")


# The differentiable operations. Arrays have one leading batch axis; triangles have none.


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _rasterize(positions: Array, triangles: Array, size: tuple[int, int], cull: bool) -> Array:
    arguments = _rasterized(positions, triangles, cull)
    (rast,) = _call("rasterize", [(*size, 4)], *arguments, size=size)
    return rast


def _rasterized(positions: Array, triangles: Array, cull: bool) -> tuple[Array, ...]:
    """What nvdiffrast's rasterizer is given, the triangles last."""
    if not cull:
        return positions, triangles
    return positions, _faces_camera(positions, triangles), triangles


def _rasterize_forward(positions, triangles, size, cull):
    rast = _rasterize(positions, triangles, size, cull)
    return rast, (positions, rast, triangles)


def _rasterize_backward(size, cull, saved, cotangent):
    positions, rast, triangles = saved
    shapes = [positions.shape[1:]]
    (grad,) = _call("rasterize_gradient", shapes, positions, rast, cotangent, triangles)
    return grad, None


_rasterize.defvjp(_rasterize_forward, _rasterize_backward)


@jax.custom_vjp
def _interpolate(attributes: Array, rast: Array, triangles: Array) -> Array:
    shape = (*rast.shape[1:3], attributes.shape[-1])
    (image,) = _call("interpolate", [shape], attributes, rast, triangles)
    return image


def _interpolate_forward(*arguments):
    return _interpolate(*arguments), arguments


def _interpolate_backward(saved, cotangent):
    attributes, rast, triangles = saved
    shapes = [attributes.shape[1:], rast.shape[1:]]
    grads = _call("interpolate_gradient", shapes, attributes, rast, cotangent, triangles)
    return *grads, None


_interpolate.defvjp(_interpolate_forward, _interpolate_backward)


@jax.custom_vjp
def _antialias(image: Array, rast: Array, positions: Array, triangles: Array) -> Array:
    (result,) = _call("antialias", [image.shape[1:]], image, rast, positions, triangles)
    return result


def _antialias_forward(*arguments):
    return _antialias(*arguments), arguments


def _antialias_backward(saved, cotangent):
    image, rast, positions, triangles = saved
    shapes = [image.shape[1:], positions.shape[1:]]
    arguments = (image, rast, positions, cotangent, triangles)
    grad_image, grad_positions = _call("antialias_gradient", shapes, *arguments)
    return grad_image, jnp.zeros_like(rast), grad_positions, None


_antialias.defvjp(_antialias_forward, _antialias_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def _picture(
    positions: Array, attributes: Array, triangles: Array, size: tuple[int, int], cull: bool
) -> Array:
    shape = (*size, attributes.shape[-1])
    arguments = _rasterized(positions, triangles, cull)
    (image,) = _call("picture", [shape], attributes, *arguments, size=size)
    return image


def _picture_forward(positions, attributes, triangles, size, cull):
    shape = (*size, attributes.shape[-1])
    arguments = _rasterized(positions, triangles, cull)
    shapes = [shape, shape, (*size, 4)]
    image, plain, rast = _call("picture_and_steps", shapes, attributes, *arguments, size=size)
    return image, (positions, attributes, plain, rast, triangles)


def _picture_backward(size, cull, saved, cotangent):
    positions, attributes, plain, rast, triangles = saved
    shapes = [positions.shape[1:], attributes.shape[1:]]
    arguments = (positions, attributes, plain, rast, cotangent, triangles)
    return *_call("picture_gradient", shapes, *arguments), None


_picture.defvjp(_picture_forward, _picture_backward)


def _faces_camera(positions: Array, triangles: Array) -> Array:
    """(b, f) uint8: 1 where the outward normal (v1 − v2) × (v2 − v3) faces the camera."""
    x, y, w = (positions[..., k] for k in (0, 1, 3))
    (x0, x1, x2), (y0, y1, y2), (w0, w1, w2) = (
        tuple(field[:, triangles[:, k]] for k in range(3)) for field in (x, y, w)
    )
    # The determinant of the three (x, y, w), relative to the first corner.
    ax, ay = x1 * w0 - x0 * w1, y1 * w0 - y0 * w1
    bx, by = x2 * w0 - x0 * w2, y2 * w0 - y0 * w2
    return ((ax * by - ay * bx) * jnp.sign(w0) < 0).astype(jnp.uint8)


def _call(method: str, shapes: list[_Shape], *arrays: Array, **static: Any) -> list[Array]:
    """Calls a method of the operations on the arrays' device buffers, inside jit.

    Args:
        method: its name.
        shapes: of its float32 results, without the batch axis.
        arrays: its tensors: all with a leading batch axis, but the last, the triangles.
        static: its other arguments.
    """

    operations = _operations()

    def callback(context, out_buffers, *buffers):
        tensors = [operations.tensor(buffer) for buffer in buffers]
        with operations.on_stream(context, tensors[0]), operations.memory_explained():
            results = getattr(operations, method)(*tensors, **static)
            for out, result in zip(out_buffers, results, strict=True):
                operations.tensor(out)[...] = result

    @custom_vmap
    def call(*arrays):
        batch = arrays[0].shape[0]
        results = [jax.ShapeDtypeStruct((batch, *shape), jnp.float32) for shape in shapes]
        return buffer_callback(callback, results)(*arrays)

    @call.def_vmap
    def call_batched(axis_size, batched, *arrays):
        out_batched = [True] * len(shapes)
        if batched[-1]:  # other triangles for each: one after the other
            arrays = _broadcast(axis_size, batched, arrays)
            return lax.map(lambda each: call(*each), arrays), out_batched
        *arrays, triangles = arrays
        arrays = _broadcast(axis_size, batched[:-1], arrays)
        results = call(*(a.reshape(-1, *a.shape[2:]) for a in arrays), triangles)
        return [r.reshape(axis_size, -1, *r.shape[1:]) for r in results], out_batched

    return call(*arrays)


def _broadcast(axis_size: int, batched: list[bool], arrays: Any) -> tuple[Array, ...]:
    return tuple(
        array if has_axis else jnp.broadcast_to(array, (axis_size, *array.shape))
        for array, has_axis in zip(arrays, batched, strict=True)
    )


# The PyTorch side.


def available() -> bool:
    """Whether the backend can be used by itself: on a GPU, with all that it needs installed.

    Warns once if an nvdiffrast is installed whose version is not supported.
    """
    if not on_gpu():
        return False
    if importlib.util.find_spec("torch") is None or not _is_installed():
        return False
    return not _missing()


@functools.cache
def _operations() -> "NvdiffrastOperations":
    """nvdiffrast's operations; RuntimeError if anything is missing, and says what."""
    if missing := _missing():
        raise RuntimeError(f"The rasterizer 'nvdiffrast' cannot be used: {'; '.join(missing)}.")
    torch = importlib.import_module("torch")
    return NvdiffrastOperations(torch, importlib.import_module("_nvdiffrast_c"))


def _is_installed() -> bool:
    return importlib.util.find_spec("_nvdiffrast_c") is not None


@functools.cache
def _missing() -> tuple[str, ...]:
    """What keeps nvdiffrast from being used, and how to mend it."""
    missing = []
    if all(device.platform != "gpu" for device in jax.devices()):
        missing.append("JAX sees no CUDA device (pip install 'facial_jax[cuda13]', or cuda12)")
    torch = importlib.util.find_spec("torch") and importlib.import_module("torch")
    if not torch:
        missing.append("PyTorch is not installed (pip install 'facial_jax[nvdiffrast]')")
    elif not torch.cuda.is_available():
        missing.append(f"PyTorch {torch.__version__} sees no CUDA device (install its CUDA build)")
    install = (
        "pip install setuptools wheel ninja && "
        "pip install git+https://github.com/NVlabs/nvdiffrast.git --no-build-isolation"
    )
    if not _is_installed():
        missing.append(f"nvdiffrast 0.4 is not installed ({install})")
    elif not (version := importlib.metadata.version("nvdiffrast")).startswith(_SUPPORTED):
        warning = (
            f"nvdiffrast {version} is installed, of which only version 0.4 is known here "
            f"({install})"
        )
        warnings.warn(warning, stacklevel=2)
        missing.append(warning)
    return tuple(missing)


class NvdiffrastOperations:
    """nvdiffrast's kernels on PyTorch tensors with one leading batch axis, triangles last.

    Every operation returns a tuple of tensors.
    """

    def __init__(self, torch: Any, plugin: Any):
        self._torch = torch
        self._plugin = plugin
        self._contexts: dict[int, Any] = {}  # by device index
        self._streams: dict[tuple[int, Any], Any] = {}  # by address and device
        self._lock = threading.Lock()

    def tensor(self, buffer: Any) -> Any:
        """An XLA buffer as a tensor, without a copy."""
        # The capsule, not the buffer: all work is on XLA's stream, so no stream need wait.
        return self._torch.from_dlpack(buffer.__dlpack__())

    def on_stream(self, context: Any, tensor: Any) -> Any:
        """A context manager in which PyTorch works on XLA's stream."""
        if not tensor.is_cuda:
            raise RuntimeError(
                f"The rasterizer 'nvdiffrast' needs arrays on a CUDA device, got {tensor.device}."
            )
        key = context.stream, tensor.device
        if key not in self._streams:
            self._streams[key] = self._torch.cuda.ExternalStream(key[0], device=key[1])
        return self._torch.cuda.stream(self._streams[key])

    @contextlib.contextmanager
    def memory_explained(self) -> Iterator[None]:
        """Says why PyTorch may find no memory on a card that seems to have some."""
        try:
            yield
        except self._torch.OutOfMemoryError as error:
            raise RuntimeError(
                f"The rasterizer 'nvdiffrast' found no memory on the GPU ({error}). JAX takes "
                "three quarters of it when it starts, and PyTorch has the rest: draw fewer frames "
                "at a time, or set XLA_PYTHON_CLIENT_MEM_FRACTION=0.5 in the environment."
            ) from error

    def rasterize(self, positions: Any, *drawn: Any, size: tuple[int, int]) -> tuple:
        """(u, v, z/w, triangle + 1).

        `drawn`: the triangles; or, (b, f), which of them are drawn, not 0, and then the triangles.
        """
        *some, triangles = drawn
        if some:
            return (self._rasterize_some(positions, *some, triangles, size),)
        none = self._torch.empty((0, 2), dtype=self._torch.int32)
        return (self._draw(positions, triangles, size, none),)

    def _rasterize_some(
        self, positions: Any, drawn: Any, triangles: Any, size: tuple[int, int]
    ) -> Any:
        torch = self._torch
        batch, vertices = positions.shape[:2]
        count = triangles.shape[0]
        # Triangles left out become points, which cover nothing. With other triangles in each image,
        # images are ranges of one long list of triangles, whose indices must stay exact.
        at_once = max(1, _MAX_EXACT_INDEX // count)
        images = []
        for first in range(0, batch, at_once):
            some = positions[first : first + at_once]
            number = torch.arange(len(some), dtype=torch.int32, device=positions.device)
            corners = triangles * drawn[first : first + at_once, :, None]
            corners = corners + (number * vertices)[:, None, None]
            ranges = [[i * count, count] for i in range(len(some))]
            rast = self._draw(
                some.reshape(-1, 4),
                corners.reshape(-1, 3),
                size,
                torch.tensor(ranges, dtype=torch.int32),
            )
            covered = rast[..., 3] > 0
            rast[..., 3] -= covered * (number * count)[:, None, None]
            images.append(rast)
        return images[0] if len(images) == 1 else torch.cat(images)

    def _draw(self, positions: Any, triangles: Any, size: tuple[int, int], ranges: Any) -> Any:
        # nvdiffrast waits for the stream while it holds Python's lock, and what the stream waits
        # for may need Python on another thread. Waiting here first lets go of the lock.
        self._wait(positions.device)
        with self._lock:  # the context's buffers serve one call at a time
            context = self._context(positions.device)
            return self._plugin.rasterize_fwd_cuda(context, positions, triangles, size, ranges, -1)[
                0
            ]

    def _wait(self, device: Any) -> None:
        self._torch.cuda.current_stream(device).synchronize()

    def _context(self, device: Any) -> Any:
        if device.index not in self._contexts:
            self._contexts[device.index] = self._plugin.RasterizeCRStateWrapper(device.index)
        return self._contexts[device.index]

    def rasterize_gradient(
        self, positions: Any, rast: Any, cotangent: Any, triangles: Any
    ) -> tuple:
        """The gradient to positions of one to (u, v)."""
        return (self._plugin.rasterize_grad(positions, triangles, rast, cotangent),)

    def interpolate(self, attributes: Any, rast: Any, triangles: Any) -> tuple:
        """Attributes at pixels."""
        return (self._plugin.interpolate_fwd(attributes, rast, triangles)[0],)

    def interpolate_gradient(
        self, attributes: Any, rast: Any, cotangent: Any, triangles: Any
    ) -> tuple:
        """The gradients to attributes and (u, v)."""
        return self._plugin.interpolate_grad(attributes, rast, triangles, cotangent)

    def antialias(self, image: Any, rast: Any, positions: Any, triangles: Any) -> tuple:
        """The image with blended silhouettes."""
        return (self._blend(image, rast, positions, triangles)[0],)

    def antialias_gradient(
        self, image: Any, rast: Any, positions: Any, cotangent: Any, triangles: Any
    ) -> tuple:
        """The gradients to image and positions."""
        # The silhouettes are found again: faster than to keep nvdiffrast's list of them, which
        # takes eight numbers a pixel.
        _, silhouettes = self._blend(image, rast, positions, triangles)
        return self._plugin.antialias_grad(
            image, rast, positions, triangles, cotangent, silhouettes
        )

    def picture(self, attributes: Any, positions: Any, *drawn: Any, size: tuple) -> tuple:
        """The antialiased image of attributes; `drawn` as in `rasterize`."""
        return self.picture_and_steps(attributes, positions, *drawn, size=size)[:1]

    def picture_and_steps(self, attributes: Any, positions: Any, *drawn: Any, size: tuple) -> tuple:
        """The same, the image before antialiasing, and (u, v, z/w, triangle + 1)."""
        triangles = drawn[-1]
        (rast,) = self.rasterize(positions, *drawn, size=size)
        (plain,) = self.interpolate(attributes, rast, triangles)
        (image,) = self.antialias(plain, rast, positions, triangles)
        return image, plain, rast

    def picture_gradient(
        self,
        positions: Any,
        attributes: Any,
        plain: Any,
        rast: Any,
        cotangent: Any,
        triangles: Any,
    ) -> tuple:
        """The gradients of `picture` to positions and attributes."""
        by_plain, by_silhouettes = self.antialias_gradient(
            plain, rast, positions, cotangent, triangles
        )
        by_attributes, by_rast = self.interpolate_gradient(attributes, rast, by_plain, triangles)
        (by_rasterized,) = self.rasterize_gradient(positions, rast, by_rast, triangles)
        return by_rasterized + by_silhouettes, by_attributes

    def _blend(self, image: Any, rast: Any, positions: Any, triangles: Any) -> tuple:
        # Built every time, in a fraction of the operation's own time: XLA reuses its buffers, so an
        # address does not tell whether the triangles are still the same.
        topology = self._plugin.antialias_construct_topology_hash(triangles)
        return self._plugin.antialias_fwd(image, rast, positions, triangles, topology)
