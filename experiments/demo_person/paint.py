"""Pictures that are painted once: skin, lashes, strands of hair, background."""

import numpy as np
from PIL import Image, ImageDraw
from scipy.interpolate import LinearNDInterpolator
from scipy.ndimage import gaussian_filter, zoom

from facial_jax.attributes import Identity
from facial_jax.face.model import FaceModel
from facial_jax.face.procedural import geometry, texture
from facial_jax.face.procedural.geometry import smoothstep
from facial_jax.face.procedural.template import LOWER_LIP, UPPER_LIP, load_template

MAP_SIZE = 768
MAP_ORIGIN = np.array([-1.32, -1.32])  # (u, v) of the skin map's first texel
MAP_SCALE = MAP_SIZE / 2.64  # texels per dm
HAIR_COLOR = np.array([0.23, 0.14, 0.085])


def noise(shape: tuple[int, int], sigma, rng: np.random.Generator) -> np.ndarray:
    """Smooth noise of unit variance."""
    field = gaussian_filter(rng.standard_normal(shape), sigma, mode="wrap")
    return field / field.std()


def map_coordinates() -> tuple[np.ndarray, np.ndarray]:
    """Template points and lip labels of all texels, rows along v."""
    line = (np.arange(MAP_SIZE) + 0.5) / MAP_SCALE
    u, v = np.meshgrid(MAP_ORIGIN[0] + line, MAP_ORIGIN[1] + line)
    uv = np.stack([u.ravel(), v.ravel()], axis=1)
    along, upper, lower = geometry.lip_coordinates(uv)
    label = np.zeros(len(uv), int)
    label[(along > 0) & (upper >= 0) & (upper <= 1)] = UPPER_LIP
    label[(along > 0) & (lower >= 0) & (lower < 1)] = LOWER_LIP
    return uv, label


def paint_skin_map(model: FaceModel, identity: Identity) -> np.ndarray:
    """(size, size, 4): albedo and gloss of the skin on the template, lids painted without eyes."""
    rng = np.random.default_rng(2)
    uv, label = map_coordinates()
    masks = {k: v for k, v in _masks_by_rows(uv, label).items()}
    brow = masks["brow"].copy()
    masks["brow"] = 0.3 * brow  # the rest is hairs
    colors = texture.paint_skin(masks, eyes=False)
    template = load_template()
    skin = template.label <= LOWER_LIP
    change = np.asarray(model.texture_basis @ identity.texture, np.float64)[skin]
    lift = LinearNDInterpolator(template.coordinates[skin], change, fill_value=0.0)
    coarse = lift(uv.reshape(MAP_SIZE, MAP_SIZE, 2)[::4, ::4].reshape(-1, 2))
    coarse = zoom(coarse.reshape(MAP_SIZE // 4, MAP_SIZE // 4, 3), (4, 4, 1), order=1)
    colors = (colors + coarse.reshape(-1, 3)).reshape(MAP_SIZE, MAP_SIZE, 3)
    shape = (MAP_SIZE, MAP_SIZE)
    grid = {k: v.reshape(shape) for k, v in masks.items()}
    left = geometry.mirrored_left(uv).reshape(*shape, 2)

    # mottling, pores, a few freckles
    colors *= 1.0 + 0.014 * noise(shape, 22, rng)[..., None]
    colors += 0.008 * noise(shape, 9, rng)[..., None] * np.array([1.0, -0.6, -0.5])
    pores = noise(shape, 1.3, rng)
    colors *= 1.0 - 0.012 * np.maximum(pores, -0.5)[..., None] * (1 - grid["lips"])[..., None]
    freckles = np.exp(-(((left[..., 0] + 0.3) / 0.35) ** 2) - ((left[..., 1] + 0.22) / 0.16) ** 2)
    spots = smoothstep(2.3, 3.2, noise(shape, 1.8, rng)) * freckles
    colors *= 1.0 - 0.22 * spots[..., None] * np.array([0.6, 1.0, 1.1])

    # lips: vertical lines, a paler edge
    lines = noise((8, MAP_SIZE), (0.5, 1.6), rng)
    lines = zoom(lines, (MAP_SIZE // 8, 1), order=1)
    colors *= 1.0 - 0.03 * (grid["lips"] * lines)[..., None]

    hairs = _draw_brow_hairs(rng)
    colors += (texture.BROW_COLOR * 0.85 - colors) * (0.85 * hairs)[..., None]

    # scalp under the hair
    edge = 0.685 - 0.36 * (left[..., 0] / 0.9) ** 2
    scalp = smoothstep(-0.02, 0.13, left[..., 1] - edge + 0.007 * noise(shape, (7, 1.5), rng))
    colors += (HAIR_COLOR * 0.9 - colors) * (0.9 * scalp)[..., None]

    gloss = 0.4 + 0.5 * grid["nose"] + 0.3 * grid["forehead"] + 0.25 * grid["cheek"]
    gloss = gloss * (1.0 + 0.12 * pores) + 1.3 * grid["lips"] * (1 + 0.15 * lines)
    gloss = gloss * (1 - 0.8 * brow.reshape(shape)) * (1 - grid["nostril"]) * (1 - scalp)
    return np.concatenate([np.clip(colors, 0.01, 1.0), gloss[..., None]], axis=-1).astype(
        np.float32
    )


def _masks_by_rows(uv, label):
    parts = np.array_split(np.arange(len(uv)), 64)
    pieces = [texture.skin_masks(uv[i], label[i]) for i in parts]
    return {k: np.concatenate([piece[k] for piece in pieces]) for k in pieces[0]}


def _draw_brow_hairs(rng) -> np.ndarray:
    """Coverage of single hairs along both brows."""
    scale = 3
    picture = Image.new("L", (MAP_SIZE * scale, MAP_SIZE * scale), 0)
    pen = ImageDraw.Draw(picture)
    measured = texture.measured
    top = geometry.template_coordinates(measured.BROW_UPPER.astype(np.float64))[::-1]
    bottom = geometry.template_coordinates(measured.BROW_LOWER.astype(np.float64))[::-1]
    top, bottom = geometry.resample_chain(top, 100), geometry.resample_chain(bottom, 100)
    for side in (1.0, -1.0):
        for _ in range(520):
            t = rng.beta(1.1, 1.35)
            k = int(t * 99)
            taper = 1.0 - 0.55 * smoothstep(0.45, 1.0, t)
            across = rng.uniform(-0.75, 0.55) * taper
            middle = 0.5 * (top[k] + bottom[k])
            half = 0.5 * (top[k] - bottom[k])
            start = middle + across * half
            # near the nose hairs stand up, further out they lie along the brow
            lie = np.clip(1.7 * t + rng.normal(0, 0.12), 0.05, 1.25)
            angle = np.radians(100.0 + 75.0 * min(lie, 1.0) + (14 if across > 0.2 else -6) * t)
            length = rng.uniform(0.035, 0.07) * (0.8 + 0.4 * np.sin(np.pi * t))
            points = []
            for s in np.linspace(0, 1, 5):
                bend = angle + 0.35 * s
                points.append(start + s * length * np.array([np.cos(bend), np.sin(bend)]))
            points = np.array(points) * [side, 1.0]
            pixels = (points - MAP_ORIGIN) * MAP_SCALE * scale
            pen.line(
                [tuple(q) for q in pixels],
                fill=int(rng.uniform(120, 235)),
                width=rng.choice([2, 3, 3, 4]),
            )
    picture = picture.resize((MAP_SIZE, MAP_SIZE), Image.LANCZOS)
    return gaussian_filter(np.asarray(picture, np.float32) / 255.0, 0.6)


LASH_LENGTH = 0.05  # dm covered by the lash map's height


def paint_lashes() -> np.ndarray:
    """(64, 256) coverage of upper lashes: rows from the lid margin outwards, columns from corner
    to corner."""
    rng = np.random.default_rng(3)
    scale = 4
    picture = Image.new("L", (256 * scale, 64 * scale), 0)
    pen = ImageDraw.Draw(picture)
    for x in np.linspace(0.06, 0.93, 75):
        x = x + rng.normal(0, 0.006)
        outer = 1.0 - x
        length = (0.28 + 0.5 * outer) * rng.uniform(0.75, 1.1)
        sweep = -0.12 * (outer - 0.35) + rng.normal(0, 0.015)
        s = np.linspace(0, 1, 6)
        points = np.stack([x + sweep * s**1.6, length * s], axis=1) * [256 * scale, 64 * scale]
        pen.line([tuple(q) for q in points], fill=int(rng.uniform(150, 230)), width=5)
    picture = picture.resize((256, 64), Image.LANCZOS)
    lashes = np.asarray(picture, np.float32) / 255.0
    fade = 1.0 - np.linspace(0, 1, 64)[:, None] ** 2
    return (lashes * fade).astype(np.float32)


def paint_strands() -> np.ndarray:
    """(256, 1024, 2) noise along (rows) and across (columns) the hair: single strands and locks."""
    rng = np.random.default_rng(4)
    fine = 0.75 * noise((256, 1024), (28, 0.9), rng) + 0.6 * noise((256, 1024), (40, 2.2), rng)
    locks = noise((256, 1024), (60, 11), rng) + 0.7 * noise((256, 1024), (45, 28), rng)
    return np.stack([fine / fine.std(), locks / locks.std()], axis=-1).astype(np.float32)


def paint_background(size: int) -> np.ndarray:
    """A plain wall, out of focus, lighter where the light comes from."""
    rng = np.random.default_rng(6)
    y, x = np.meshgrid(np.linspace(-1, 1, size), np.linspace(-1, 1, size), indexing="ij")
    glow = np.exp(-((x + 0.45) ** 2) / 1.3 - (y + 0.35) ** 2 / 1.6)
    wall = np.array([0.47, 0.5, 0.52]) + glow[..., None] * np.array([0.2, 0.19, 0.165])
    wall = wall - 0.05 * smoothstep(-0.2, 1.2, y)[..., None]
    wall += 0.006 * noise((size, size), size / 9, rng)[..., None]
    return wall.astype(np.float32)
