"""The preflight report as one HTML page that needs nothing else: facts, plots, fitted faces."""

import base64
import html

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, UInt8

from facial_jax.attributes import Attributes, Identity
from facial_jax.face.model import FaceModel
from facial_jax.pictures import encode_png, resize
from facial_jax.plots import svg_plot
from facial_jax.rendering.camera import pinhole_camera
from facial_jax.rendering.render import render
from facial_jax.tracking.preflight import Preflight
from facial_jax.tracking.tracker import TrackedVideo

STRIP_FRAMES = 8
STRIP_SIZE = 192
_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 960px; margin: 2em auto; color: #222 }
td { padding: 0 1.5em 0.2em 0; vertical-align: top } td:first-child { color: #666 }
li { margin: 0.3em 0 } .bad { color: #a02010 } .good { color: #206030 }
svg { display: block; margin: 0 0 1em } img { max-width: 100% } h2 { font-size: 1.05em }
"""


def fitted_strip(
    tracked: TrackedVideo, face_model: FaceModel, *, count: int = STRIP_FRAMES
) -> UInt8[np.ndarray, "h w 3"]:
    """Evenly spaced frames: as they are, with landmarks, and with the fitted face over them.

    Landmarks found are green, the fitted model's are red.
    """
    seen = np.flatnonzero(tracked.valid)
    index = seen[np.linspace(0, len(seen) - 1, count).round().astype(int)]
    shown = {i: resize(image, STRIP_SIZE) for i, image in _frames_at(tracked, index)}
    index = np.array([i if i in shown else next(iter(shown)) for i in index])
    faces = _render(tracked, face_model, index)
    scale = STRIP_SIZE / tracked.size
    columns = []
    for i, (face, mask) in zip(index, zip(*faces, strict=True), strict=True):
        image = shown[int(i)]
        dotted = image.copy()
        _dots(dotted, tracked.landmarks[i] * scale, (40, 230, 60))
        _dots(dotted, tracked.fitted_landmarks[i] * scale, (240, 30, 30))
        blended = image * (1 - 0.85 * mask) + 255 * face * 0.85 * mask
        columns.append(np.concatenate([image, dotted, blended.astype(np.uint8)], axis=0))
    return np.concatenate(columns, axis=1)


def _frames_at(tracked, index):
    """Pairs of number and frame, as far as the file can be read."""
    wanted = sorted({int(i) for i in index})
    return zip(wanted, tracked.frames(wanted), strict=False)


def _render(tracked, face_model, index):
    size = (STRIP_SIZE, STRIP_SIZE)
    a = tracked.attributes
    rendered = render(
        face_model,
        Identity(
            identity=jnp.asarray(tracked.identity.identity),
            texture=jnp.asarray(tracked.identity.texture),
            illumination=jnp.asarray(tracked.identity.illumination),
        ),
        Attributes(
            expression=jnp.asarray(a.expression[index]),
            pose=jnp.asarray(a.pose[index]),
            blink=jnp.asarray(a.blink[index]),
        ),
        pinhole_camera(size),
        size,
    )
    return np.asarray(rendered.image), np.asarray(rendered.mask)


def _dots(image: np.ndarray, points: np.ndarray, color: tuple[int, int, int]) -> None:
    if not np.isfinite(points).all():
        return
    column, row = (np.clip(points - 0.5, 0, STRIP_SIZE - 2).astype(int)).T
    for dy in (0, 1):
        for dx in (0, 1):
            image[row + dy, column + dx] = color


def report_html(
    tracked: TrackedVideo, checked: Preflight, strip: UInt8[np.ndarray, "h w 3"]
) -> str:
    """The page. `strip` is from `fitted_strip`."""
    times = (tracked.start + np.arange(len(tracked))) / float(tracked.fps)
    a = tracked.attributes
    degrees = np.degrees(a.pose[:, :3])
    plots = [
        svg_plot("head rotation, degrees", _columns(degrees, "pitch", "yaw", "roll"), times),
        svg_plot("head position, dm", _columns(a.pose[:, 3:], "x", "y", "z"), times),
        svg_plot("blink, AU45", {"blink": a.blink}, times),
        svg_plot("mouth opening over eyes' distance", {"mouth": checked.opening}, times),
        svg_plot("fit error, %", {"error": 100 * tracked.fit_error}, times),
    ]
    if checked.voice is not None:
        plots.insert(4, svg_plot("voice, log energy", {"voice": checked.voice}, times))
    rows = "".join(
        f"<tr><td>{html.escape(what)}</td><td>{html.escape(value)}</td></tr>"
        for what, value in checked.facts
    )
    problems = "".join(f"<li class=bad>{html.escape(p)}</li>" for p in checked.problems)
    verdict = problems or "<li class=good>Nothing is wrong with this clip.</li>"
    name = html.escape(tracked.video.path.name)
    picture = base64.b64encode(encode_png(strip)).decode()
    return (
        f"<!doctype html><meta charset=utf-8><title>{name}</title><style>{_STYLE}</style>"
        f"<h1>{name}</h1><ul>{verdict}</ul><table>{rows}</table>"
        "<h2>frames; landmarks found (green) and fitted (red); the fitted face over them</h2>"
        f'<img src="data:image/png;base64,{picture}">' + "".join(plots)
    )


def _columns(values: Float[np.ndarray, "t k"], *names: str) -> dict[str, np.ndarray]:
    return dict(zip(names, values.T, strict=True))
