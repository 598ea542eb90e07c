"""Draws the demo person: attributes of a frame in, a picture out.

Everything is rasterized at twice the size: once the face, the mouth's inside, neck, shoulders and
the back of the hair; once the hair in front, which lies over it half transparent at its edges.
Colours are worked out per pixel from interpolated surface coordinates and normals.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from experiments.demo_person import paint
from experiments.demo_person.person import REST_POSE, demo_identity
from experiments.demo_person.surfaces import body_surface, hair_surface
from facial_jax.attributes import MAX_BLINK, Identity
from facial_jax.face.model import (
    face_shape,
    face_texture,
    vertex_normals,
    vertex_triangle_adjacency,
)
from facial_jax.face.procedural import geometry, procedural_face_model
from facial_jax.face.procedural.template import (
    LOWER_LIP,
    LOWER_TEETH,
    UPPER_CAVITY,
    UPPER_TEETH,
    load_template,
)
from facial_jax.rendering.camera import (
    camera_vertices,
    clip_positions,
    pinhole_camera,
    rotation_from_euler,
)
from facial_jax.rendering.interpolate import interpolate
from facial_jax.rendering.lighting import irradiance
from facial_jax.rendering.rasterizer import rasterize

SKIN_PART, WET_PART, TEETH_PART, BODY_PART, HAIR_PART = range(5)
KEY_LIGHT = np.array([-0.42, 0.5, 0.76])
GARMENT_COLOR = np.array([0.13, 0.24, 0.29])


def make_drawer(
    size: int = 256, person: Identity | None = None
) -> Callable[[jax.Array, jax.Array, jax.Array, jax.Array], jax.Array]:
    """A jitted function from (pose (6,), expression (64,), blink (), look (2,)) to a picture.

    `look`: how far irises are to the picture's right of the middles of the eyes, and above them, in
    decimetres (`experiments.demo_person.eyes.iris_offset`).

    The picture is (size, size, 3) float32 in [0, 1]. It shows the demo person, or a `person` of
    another face and light with the demo person's hair and clothes.
    """
    full = 2 * size
    model, template = procedural_face_model(), load_template()
    identity = demo_identity() if person is None else person
    camera = pinhole_camera((full, full))
    skin_map = jnp.asarray(paint.paint_skin_map(model, identity))
    lash_map = jnp.asarray(paint.paint_lashes()[..., None])
    strand_map = jnp.asarray(paint.paint_strands())
    wall = jnp.asarray(paint.paint_background(full))
    body, hair = body_surface(), hair_surface()
    lids = _lid_tables()
    key = jnp.asarray(KEY_LIGHT / np.linalg.norm(KEY_LIGHT), jnp.float32)
    half = key + jnp.array([0.0, 0.0, 1.0], jnp.float32)
    half = half / jnp.linalg.norm(half)

    # One mesh for what is opaque: face, body, the back of the hair.
    n_face, n_body, n_hair = len(template.label), len(body.vertices), len(hair.vertices)
    back = np.abs(hair.coordinates[hair.triangles, 0]).min(axis=1) > 1.3
    face_triangles = np.asarray(model.triangles)
    opaque = np.concatenate(
        [
            face_triangles,
            body.triangles + n_face,
            hair.triangles[back] + n_face + n_body,
        ]
    ).astype(np.int32)
    label = template.label[face_triangles]
    inner = label.max(axis=1)
    part = np.where(inner <= LOWER_LIP, SKIN_PART, WET_PART)
    part = np.where((inner == UPPER_TEETH) | (inner == LOWER_TEETH), TEETH_PART, part)
    parts = np.concatenate(
        [[-1], part, np.full(len(body.triangles), BODY_PART), np.full(back.sum(), HAIR_PART)]
    )
    parts = jnp.asarray(parts, jnp.int32)
    hair_triangles = jnp.asarray(hair.triangles.astype(np.int32))
    hair_neighbours = jnp.asarray(
        vertex_triangle_adjacency(hair.triangles, n_hair).astype(np.int32)
    )
    body_triangles = jnp.asarray(body.triangles.astype(np.int32))
    body_neighbours = jnp.asarray(
        vertex_triangle_adjacency(body.triangles, n_body).astype(np.int32)
    )
    opaque = jnp.asarray(opaque)
    on_skin = template.label < UPPER_CAVITY
    face_uv = np.where(on_skin[:, None], template.coordinates, 0.0)
    coordinates = jnp.asarray(
        np.concatenate([face_uv, body.coordinates, hair.coordinates]).astype(np.float32)
    )
    colors = face_texture(model, identity.texture)
    body_vertices = jnp.asarray(body.vertices, jnp.float32)
    hair_vertices = jnp.asarray(hair.vertices, jnp.float32)
    hair_tangents = jnp.asarray(hair.tangents, jnp.float32)
    body_follow = jnp.asarray(body.follow, jnp.float32)[:, None]
    hair_follow = jnp.asarray(hair.follow, jnp.float32)[:, None]
    # skin tone of neck and chest: what the face has on the jaw
    rows, columns = (
        [int(k * paint.MAP_SIZE) for k in part] for part in ((0.215, 0.293), (0.37, 0.625))
    )
    jaw_colors = skin_map[slice(*rows), slice(*columns), :3].reshape(-1, 3).mean(axis=0)
    blurs = [
        jnp.asarray(_blur_matrix(size, sigma), jnp.float32)
        for sigma in (3.0 * size / 256, 9.0 * size / 256)
    ]

    def draw(pose, expression, blink, look):
        rotation = rotation_from_euler(pose[:3])
        rest = jnp.asarray(REST_POSE[3:])
        shift = pose[3:]
        still = rest + 0.25 * (shift - rest)
        face = face_shape(model, identity.identity, expression)
        face_normals = vertex_normals(face, model.triangles, model.vertex_triangles) @ rotation.T
        face = face @ rotation.T + shift

        def place(vertices, follow):
            return follow * (vertices @ rotation.T + shift) + (1.0 - follow) * (vertices + still)

        hair_world = place(hair_vertices, hair_follow)
        body_world = place(body_vertices, body_follow)
        hair_normals = vertex_normals(hair_world, hair_triangles, hair_neighbours)
        body_normals = vertex_normals(body_world, body_triangles, body_neighbours)
        hair_along = hair_tangents @ rotation.T

        world = jnp.concatenate([face, body_world, hair_world])
        view = camera_vertices(camera, world)
        clip = clip_positions(camera, view, (full, full))
        extra = jnp.concatenate([colors, body_vertices * 0.0, hair_along])
        normals = jnp.concatenate([face_normals, body_normals, hair_normals])
        depth = 10.0 - world[:, 2:]
        surface = jnp.concatenate([coordinates, normals, extra, depth], axis=1)

        raster = rasterize(clip, opaque, (full, full))
        pixels = interpolate(surface, raster, opaque)
        kind = parts[raster[..., 3].astype(jnp.int32)]
        distance = jnp.where(kind >= 0, pixels[..., 8], 17.0)

        front = rasterize(clip[n_face + n_body :], hair_triangles, (full, full))
        strands = interpolate(surface[n_face + n_body :], front, hair_triangles)
        hair_distance = jnp.where(front[..., 3] > 0, strands[..., 8], 99.0)

        occlusion = _depth_shadow(distance, blurs).reshape(-1)
        kind, pixels = kind.reshape(-1), pixels.reshape(-1, 9)
        image = wall.reshape(-1, 3)

        def paint_part(image, mask, capacity, shader):
            """Shades only the pixels of one part."""
            at = jnp.nonzero(mask, size=capacity, fill_value=full * full)[0]
            values = pixels.at[at].get(mode="clip")
            return image.at[at].set(shader(values), mode="drop")

        def paint_skin(values):
            return shade_skin(values[:, 0:2], _unit(values[:, 2:5]), look, rotation, blink)

        def paint_wet(values):
            normal = _unit(values[:, 2:5])
            glint = jnp.maximum(normal @ half, 0.0)
            light = irradiance(normal, identity.illumination)
            return values[:, 5:8] * light * 0.85 + 0.11 * (glint**40)[:, None]

        def paint_body(values):
            normal = _unit(values[:, 2:5])
            return shade_body(values[:, 0:2], normal, irradiance(normal, identity.illumination))

        def paint_back_hair(values):
            return 0.4 * shade_hair(values[:, 0:2], _unit(values[:, 2:5]), values[:, 5:8])[0]

        wet = (kind == WET_PART) | (kind == TEETH_PART)
        image = paint_part(image, kind == SKIN_PART, full * full // 3, paint_skin)
        image = paint_part(image, wet, full * full // 20, paint_wet)
        image = paint_part(image, kind == BODY_PART, full * full // 3, paint_body)
        image = paint_part(image, kind == HAIR_PART, full * full // 4, paint_back_hair)
        strength = jnp.where(kind < 0, 0.0, 1.0)[:, None]
        tint = jnp.array([0.92, 0.99, 1.0])
        image = image * (1.0 - strength * (1.0 - occlusion[:, None]) * tint)

        # hair over it, with its soft shadow
        seen = (front[..., 3] > 0) & (hair_distance < distance + 0.02)
        at = jnp.nonzero(seen.reshape(-1), size=full * full // 3, fill_value=full * full)[0]
        values = strands.reshape(-1, 9).at[at].get(mode="clip")
        over, alpha = shade_hair(values[:, 0:2], _unit(values[:, 2:5]), values[:, 5:8])
        cover = jnp.zeros(full * full).at[at].set(alpha, mode="drop")
        cast = 1.0 - 0.4 * _blur(cover.reshape(full, full), blurs[1]).reshape(-1) * (kind >= 0)
        image = image * cast[:, None]
        under = image.at[at].get(mode="clip")
        image = image.at[at].set(under + (over - under) * alpha[:, None], mode="drop")
        image = image.reshape(size, 2, size, 2, 3).mean(axis=(1, 3))
        return jnp.clip(_tone(image), 0.0, 1.0)

    def shade_skin(uv, normal, look, rotation, blink):
        closed = jnp.clip(blink / MAX_BLINK, 0.0, 1.0)
        side = jnp.where(uv[..., 0] > 0, -1.0, 1.0)
        u, v = -jnp.abs(uv[..., 0]), uv[..., 1]
        place = (u - lids["start"]) / (lids["stop"] - lids["start"])
        column = (place > 0.0) & (place < 1.0)
        upper = _lookup(lids["upper"], place)
        lower = _lookup(lids["lower"], place)
        arch = jnp.sqrt(jnp.clip(4 * place * (1 - place), 0.0, 1.0))
        floor = lower + 0.12 * (upper - lower) * closed
        line = upper + (floor - upper) * closed
        fold = upper + 0.018 + 0.042 * arch + 0.035
        # the upper lid's skin is stretched from the fold down to where its edge is now
        on_lid = column & (v > line) & (v < fold)
        stretched = (
            upper + 0.003 + (v - line) / jnp.maximum(fold - line, 1e-3) * (fold - upper - 0.003)
        )
        raised = column & (v <= floor) & (v > lower - 0.03)
        lifted = lower - 0.002 + (v - floor) * (0.03 / (0.03 + floor - lower))
        from_v = jnp.where(on_lid, stretched, jnp.where(raised, lifted, v))
        texel = (jnp.stack([uv[..., 0], from_v], axis=-1) - paint.MAP_ORIGIN) * paint.MAP_SCALE
        sampled = _sample(skin_map, texel.astype(jnp.float32))
        albedo, gloss = sampled[..., :3], sampled[..., 3]

        # closed lids bulge over the eyeball
        centre = lids["iris"]
        ball = jnp.stack([side * (u - centre[0]) / 0.19, (v - centre[1] + 0.01) / 0.17], axis=-1)
        inside = jnp.maximum(1.0 - jnp.sum(ball**2, axis=-1), 0.05)
        ball = _unit(jnp.concatenate([ball, jnp.sqrt(inside)[..., None]], axis=-1)) @ rotation.T
        zone = jnp.where(column & (v < fold) & (v > lower - 0.01), 1.0, 0.0)
        zone = zone * closed * jnp.clip((fold - v) / 0.03, 0.0, 1.0)
        lid_normal = _unit(normal + (ball - normal) * (0.85 * zone)[..., None])

        light = irradiance(lid_normal, identity.illumination)
        facing = jnp.maximum(lid_normal @ half, 0.0)
        rim = (1.0 - jnp.clip(lid_normal[..., 2], 0.0, 1.0)) ** 3
        spec = gloss * (0.075 * facing**14 + 0.1 * facing**48) + 0.05 * rim
        # light bleeds red through skin where it turns to shadow
        shade = light.mean(axis=-1)
        bleed = 0.035 * jnp.exp(-(((shade - 0.5) / 0.2) ** 2))
        color = albedo * light + spec[..., None] * jnp.array([1.0, 0.97, 0.93])
        color = color + albedo * (bleed[..., None] * jnp.array([1.0, 0.15, 0.0]))

        # the eyes, worked out only where they are
        open_eye = column & (v < line) & (v > floor)
        at = jnp.nonzero(open_eye, size=len(v) // 8, fill_value=len(v))[0]

        def pick(x):
            return x.at[at].get(mode="clip")

        seen = shade_eye(
            *(pick(x) for x in (u, v, side, place, line, floor, normal)), look, rotation
        )
        soft = jnp.clip(jnp.minimum(pick(line) - pick(v), pick(v) - pick(floor)) / 0.004, 0.0, 1.0)
        skin = pick(color)
        color = color.at[at].set(skin + (seen - skin) * soft[:, None], mode="drop")

        # lashes: a dark edge, hairs upwards when open and downwards when closed
        ends = _step(-0.03, 0.06, place) * (1.0 - _step(0.9, 0.99, place))
        edge = jnp.exp(-(((v - line) / 0.0085) ** 2)) * ends
        turn = 1.0 - 1.9 * closed
        height = (v - line) / (paint.LASH_LENGTH * jnp.where(jnp.abs(turn) < 0.15, 0.15, turn))
        inside_map = (height > 0.0) & (height < 1.0) & (place > 0.0) & (place < 1.0)
        hairs = _sample(lash_map, jnp.stack([place * 256.0, height * 64.0], axis=-1))[..., 0]
        low_edge = jnp.exp(-(((v - floor + 0.002) / 0.006) ** 2)) * ends * _step(1.0, 0.4, place)
        dark = jnp.clip(0.9 * edge + 0.8 * hairs * inside_map + 0.35 * low_edge, 0.0, 0.95)
        return color * (1.0 - dark)[..., None] + jnp.array([0.05, 0.035, 0.03]) * dark[..., None]

    def shade_eye(u, v, side, place, line, floor, normal, look, rotation):
        centre = lids["iris"]
        x = side * (u - centre[0]) - look[0]
        y = v - centre[1] - look[1]
        radius = jnp.hypot(x, y)
        ring = jnp.arctan2(y, x)
        fibre = (
            jnp.sin(ring * 23.0 + 2.0 * jnp.sin(ring * 7.0)) * 0.5
            + jnp.sin(ring * 41.0 + 1.0) * 0.3
        )
        relative = radius / 0.06
        iris = jnp.array([0.22, 0.14, 0.075]) + (1.0 - _step(0.3, 0.75, relative))[
            ..., None
        ] * jnp.array([0.13, 0.08, 0.02])
        iris = iris * (1.0 + 0.22 * fibre * _step(0.35, 0.6, relative))[..., None]
        iris = iris * (1.1 - 0.5 * jnp.clip((y + 0.02) / 0.06, -0.3, 1.0))[..., None]
        iris = iris * (1.0 - 0.75 * _step(0.8, 1.02, relative))[..., None]
        iris = iris * _step(0.30, 0.40, relative)[..., None] + 0.012
        white = (
            jnp.array([0.84, 0.81, 0.785]) * (1.0 - 0.28 * jnp.abs(2 * place - 1.0) ** 2)[..., None]
        )
        red = _step(0.86, 0.98, place)[..., None]
        white = white + (jnp.array([0.66, 0.4, 0.36]) - white) * 0.75 * red
        eye = white + (iris - white) * (1.0 - _step(0.94, 1.04, relative))[..., None]
        eye_light = irradiance(_unit(normal * 0.3 + rotation[:, 2]), identity.illumination)
        under = line - v
        eye = eye * eye_light * (0.45 + 0.55 * _step(0.0, 0.045, under))[..., None]
        eye = eye * (0.75 + 0.25 * _step(0.0, 0.012, v - floor))[..., None]
        shine = jnp.exp(-(((x + 0.02) ** 2 + (y - 0.022) ** 2) / 0.0105**2))
        shine2 = 0.22 * jnp.exp(-(((x - 0.022) ** 2 + (y + 0.024) ** 2) / 0.012**2))
        eye = eye + (0.95 * shine + shine2)[..., None]
        # wet edge of the lower lid
        waterline = jnp.exp(-(((v - floor - 0.003) / 0.0035) ** 2))
        return eye + waterline[..., None] * 0.1

    def shade_body(xy, normal, light):
        x, y = xy[..., 0], xy[..., 1]
        neckline = -1.83 + 0.16 * jnp.clip(jnp.abs(x) / 0.62, 0.0, 1.4) ** 2.2
        cloth = _step(-0.006, 0.006, neckline - y)
        knit = 1.0 + 0.05 * jnp.sin(x * 170.0) * jnp.sin(y * 150.0 + 20.0 * x)
        hem = jnp.exp(-(((neckline - y - 0.05) / 0.008) ** 2)) + jnp.exp(
            -(((neckline - y) / 0.012) ** 2)
        )
        garment = jnp.asarray(GARMENT_COLOR) * (knit * (1.0 - 0.25 * hem))[..., None]
        skin = jaw_colors * jnp.array([0.97, 0.98, 0.98])
        facing = jnp.maximum(normal @ half, 0.0)
        skin = skin * light + (0.05 * facing**14)[..., None]
        under_chin = 1.0 - 0.42 * _step(-1.55, -1.0, y)
        skin = skin * (under_chin[..., None] ** jnp.array([0.92, 1.0, 1.03]))
        garment = garment * (0.25 + 0.95 * light) * (1 - 0.1 * (1 - cloth))[..., None]
        return skin + (garment - skin) * cloth[..., None]

    def shade_hair(st, normal, along):
        strand, t = jnp.abs(st[..., 0]) - 1.0, st[..., 1]
        side = jnp.sign(st[..., 0])
        column = (strand * 700.0 + jnp.where(side > 0, 0.0, 330.0)) % 1023.0
        grain = _sample(strand_map, jnp.stack([column, t * 254.0], axis=-1))
        fine, lock = grain[..., 0], grain[..., 1]
        tangent = _unit(along)
        within = _step(0.05, -0.25, normal[..., 2])  # the inner side of the hair
        normal = normal * jnp.sign(normal[..., 2:] + 1e-6)
        # at the parting both sides are lit alike
        top = 1.0 - _step(0.0, 0.2, t)
        normal = _unit(normal + top[..., None] * jnp.array([0.0, 1.5, 0.6]))
        tangent = _unit(tangent + (0.8 * top)[..., None] * jnp.array([0.0, -0.3, 0.8]))
        cos_light = tangent @ key
        diffuse = jnp.sqrt(jnp.maximum(1.0 - cos_light**2, 0.0))
        facing = jnp.clip(normal @ key * 0.6 + 0.4, 0.0, 1.0)
        bent = _unit(tangent + normal * (0.08 + 0.05 * fine + 0.05 * lock)[..., None])
        cos_half = bent @ half
        shine = jnp.sqrt(jnp.maximum(1.0 - cos_half**2, 0.0))
        bent2 = _unit(tangent + normal * (-0.1 + 0.06 * fine)[..., None])
        shine2 = jnp.sqrt(jnp.maximum(1.0 - (bent2 @ half) ** 2, 0.0))
        base = jnp.asarray(paint.HAIR_COLOR) * (1.0 + 0.22 * fine + 0.2 * lock)[..., None]
        base = base + jnp.array([0.05, 0.035, 0.02]) * _step(0.3, 1.0, t)[..., None]
        inner = 0.5 + 0.5 * _step(0.0, 0.25, strand + 0.05 * lock)  # darker beside the face
        ambient = 0.42 + 0.2 * normal[..., 1]
        lit = (
            base
            * (ambient + 0.75 * diffuse * facing)[..., None]
            * (inner * (1.0 - 0.72 * within))[..., None]
        )
        lit = lit + (0.13 * shine**70 * facing * (1.0 - within) * (1.0 + 0.5 * fine))[
            ..., None
        ] * jnp.array([1.0, 0.93, 0.82])
        lit = (
            lit
            + (0.16 * shine2**22 * facing * (1.0 - within))[..., None]
            * jnp.asarray(paint.HAIR_COLOR)
            * 2.2
        )
        parting = jnp.exp(-((t / 0.012) ** 2))
        lit = lit * (1.0 - 0.5 * parting)[..., None]
        lit = jnp.maximum(lit, 0.0)
        alpha = _step(0.0, 0.05, strand + 0.018 * fine + 0.012)
        alpha = alpha * _step(
            -0.02, 0.1, t + 0.02 * fine * (strand < 0.3) + 0.05 * _step(0.05, 0.3, strand)
        )
        alpha = alpha * (1.0 - _step(0.86, 1.0, t + 0.04 * fine + 0.02 * lock))
        return lit, alpha

    return jax.jit(draw)


def _tone(image):
    """A little contrast, as a camera gives."""
    return image + 0.10 * (image - 0.45) * jnp.exp(-(((image - 0.5) / 0.35) ** 2))


def _step(low, high, x):
    t = jnp.clip((x - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def _unit(vectors):
    return vectors * jax.lax.rsqrt(jnp.sum(vectors**2, axis=-1, keepdims=True) + 1e-12)


def _lookup(table, place):
    at = jnp.clip(place, 0.0, 1.0) * (len(table) - 1)
    low = jnp.minimum(at.astype(jnp.int32), len(table) - 2)
    part = at - low.astype(jnp.float32)
    return table[low] * (1.0 - part) + table[low + 1] * part


def _sample(picture, at):
    """Bilinear samples of (h, w, c) at pixel positions (x, y), clamped to the border."""
    height, width = picture.shape[:2]
    x = jnp.clip(at[..., 0] - 0.5, 0.0, width - 1.001)
    y = jnp.clip(at[..., 1] - 0.5, 0.0, height - 1.001)
    i, j = x.astype(jnp.int32), y.astype(jnp.int32)
    a, b = (x - i.astype(jnp.float32))[..., None], (y - j.astype(jnp.float32))[..., None]
    flat = picture.reshape(height * width, -1)
    first = j * width + i
    top = flat[first] * (1 - a) + flat[first + 1] * a
    bottom = flat[first + width] * (1 - a) + flat[first + width + 1] * a
    return top * (1 - b) + bottom * b


def _lid_tables() -> dict:
    upper, lower = geometry.eye_outline()
    u = np.linspace(upper[0, 0], upper[-1, 0], 129)
    return {
        "start": float(u[0]),
        "stop": float(u[-1]),
        "upper": jnp.asarray(np.interp(u, upper[:, 0], upper[:, 1]), jnp.float32),
        "lower": jnp.asarray(np.interp(u, lower[:, 0], lower[:, 1]), jnp.float32),
        "iris": tuple(float(c) for c in geometry.iris_centre()),
    }


def _blur_matrix(size: int, sigma: float) -> np.ndarray:
    offset = np.arange(size)[:, None] - np.arange(size)[None]
    weight = np.exp(-0.5 * (offset / sigma) ** 2)
    return weight / weight.sum(axis=1, keepdims=True)


def _blur(image, matrix):
    """Gaussian blur at half size."""
    size = matrix.shape[0]
    small = image.reshape(size, 2, size, 2).mean(axis=(1, 3))
    small = matrix @ small @ matrix.T
    return jnp.repeat(jnp.repeat(small, 2, axis=0), 2, axis=1)


def _depth_shadow(distance, blurs):
    """Darkening of what lies deeper than its surroundings: corners of the eyes, mouth, under the
    chin."""
    shadow = 1.0
    for matrix, strength in zip(blurs, (2.6, 0.9), strict=True):
        deeper = jnp.clip(distance - _blur(distance, matrix), 0.0, 0.35)
        shadow = shadow * jnp.exp(-strength * deeper)
    return shadow
