"""The mesh of the built-in face model: points and triangles on the flat face template.

Points are laid along the lid margins, the irises, the borders and the seam of the lips; the rest is
filled by a spring relaxation whose point distance follows the detail of the face. One half is made
and mirrored. The mouth's inside (two sheets behind the lips, two rows of teeth, a tongue) is added
as grids. The result is a small file of template coordinates, triangles and labels; the geometry
itself is code in `facial_jax.face.procedural.geometry`.
"""

import numpy as np
from scipy.spatial import Delaunay, cKDTree

from facial_jax.face.procedural import geometry, mean_face_shape
from facial_jax.face.procedural.identity import identity_factors
from facial_jax.face.procedural.statistics import component_mixing
from facial_jax.face.procedural.template import (
    CAVITY_ROWS,
    EYE,
    LOWER_CAVITY,
    LOWER_LIP,
    LOWER_TEETH,
    SKIN,
    TEETH_COLUMNS,
    TEETH_ROWS,
    TONGUE,
    TONGUE_COLUMNS,
    TONGUE_ROWS,
    UPPER_CAVITY,
    UPPER_LIP,
    UPPER_TEETH,
    Template,
)
from facial_jax.face.procedural.texture import texture_factors

# Outline of the template's left half, from the top of the forehead to under the chin.
OUTLINE = np.array(
    [
        [0.0, 0.84], [-0.5, 0.81], [-0.92, 0.64], [-1.18, 0.28], [-1.27, -0.1], [-1.24, -0.5],
        [-1.12, -0.82], [-0.84, -1.04], [-0.46, -1.2], [0.0, -1.28],
    ]
)  # fmt: skip
SLIT = 0.004  # half the width of the opening that keeps the lips apart while triangulating


def inside_polygon(points: np.ndarray, polygon: np.ndarray) -> np.ndarray:
    """Whether points lie inside a closed polygon (even-odd rule)."""
    x, y = points.T
    inside = np.zeros(len(points), bool)
    for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        crosses = (y0 > y) != (y1 > y)
        at = (x1 - x0) * (y - y0) / np.where(y1 == y0, 1.0, y1 - y0) + x0
        inside ^= crosses & (x < at)
    return inside


def feature_points() -> dict[str, np.ndarray]:
    """Fixed points of the left half, by feature; lips as rows from the border (0) to the seam
    (1)."""
    upper, lower = geometry.eye_outline(25)
    margin = np.concatenate([upper, lower[-2:0:-1]])
    centre = margin.mean(axis=0)
    rings = [margin]
    rings += [centre + (margin - centre) * k for k in (0.93,)]
    for offset in (0.014, 0.03):  # the lids' thickness and the way to the fold
        away = margin - centre
        rings.append(margin + offset * away / np.linalg.norm(away, axis=1, keepdims=True))
    iris = geometry.iris_centre()
    for radius, count in ((0.057, 20), (0.04, 14), (0.02, 8)):
        a = np.arange(count) / count * 2 * np.pi
        ring = iris + radius * np.stack([np.cos(a), np.sin(a)], axis=1)
        keep = inside_polygon(ring, centre + (margin - centre) * 0.88)
        rings.append(ring[keep])
    rings.append(iris[None])
    top, seam, bottom = geometry.lip_curves(25)
    rows = {}
    for name, border, sign in (("upper", top, 1.0), ("lower", bottom, -1.0)):
        slit = seam + np.array([0.0, sign * SLIT]) * (np.arange(25) > 0)[:, None]
        for t in (0.0, 0.22, 0.44, 0.64, 0.82, 1.0):
            rows[name, t] = border + (slit - border) * t
    return {"eye": np.concatenate(rings), "margin": margin, "lips": rows}


def spacing(points: np.ndarray, features: dict) -> np.ndarray:
    """The wanted distance of neighbouring points at template points (u ≤ 0)."""
    lips = np.concatenate(list(features["lips"].values()))
    distance = cKDTree(np.concatenate([features["margin"], lips])).query(points)[0]
    nose = np.hypot(points[:, 0] / 0.19, (points[:, 1] + 0.33) / 0.13) - 1.0
    distance = np.minimum(distance, np.maximum(nose * 0.15, 0.0))
    brow = np.hypot((points[:, 0] + 0.4) / 0.3, (points[:, 1] - 0.24) / 0.12) - 1.0
    wanted = np.minimum(0.0145 + 0.09 * distance, np.where(brow < 0, 0.02, 0.034))
    centre, margin = features["margin"].mean(axis=0), features["margin"]
    half = 0.5 * (margin.max(axis=0) - margin.min(axis=0)) + 0.03
    eye = np.linalg.norm((points - centre) / half, axis=1)
    return np.minimum(wanted, 0.0095 + 0.012 * np.maximum(eye - 0.9, 0.0) / 0.6)


def relax(fixed: np.ndarray, features: dict, outline: np.ndarray, rounds: int) -> np.ndarray:
    """Free points spread among the fixed ones so that their distances follow `spacing`."""
    rng = np.random.default_rng(0)
    a, b = np.meshgrid(np.arange(-1.3, 0.0, 0.0145), np.arange(-1.3, 0.86, 0.0145 * 0.866))
    a = a + 0.5 * 0.0145 * (np.arange(a.shape[0])[:, None] % 2)
    free = np.stack([a.ravel(), b.ravel()], axis=1)
    free = free[inside_polygon(free, outline)]
    keep = rng.random(len(free)) < (0.0145 / spacing(free, features)) ** 2
    free = free[keep]
    tree = cKDTree(fixed)
    free = free[tree.query(free)[0] > 0.75 * spacing(free, features)]
    for _ in range(rounds):
        points = np.concatenate([fixed, free])
        simplices = Delaunay(points).simplices
        edges = np.unique(
            np.sort(
                np.concatenate([simplices[:, [0, 1]], simplices[:, [1, 2]], simplices[:, [0, 2]]])
            ),
            axis=0,
        )
        vector = points[edges[:, 0]] - points[edges[:, 1]]
        length = np.linalg.norm(vector, axis=1)
        wanted = spacing(0.5 * (points[edges[:, 0]] + points[edges[:, 1]]), features)
        wanted = 1.15 * wanted * np.sqrt((length**2).sum() / (wanted**2).sum())
        force = np.maximum(wanted - length, 0.0)[:, None] * vector / length[:, None]
        total = np.zeros_like(points)
        np.add.at(total, edges[:, 0], force)
        np.add.at(total, edges[:, 1], -force)
        moved = points[len(fixed) :] + 0.2 * total[len(fixed) :]
        stays = inside_polygon(moved, outline) & (moved[:, 0] < -0.004)
        free = np.where(stays[:, None], moved, free)
    gap = cKDTree(fixed).query(free)[0]
    return free[gap > 0.5 * spacing(free, features)]


def skin_mesh(rounds: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[int], list[int]]:
    """Template points, triangles, labels of the whole skin, and the upper and lower seam, left to
    right."""
    features = feature_points()
    outline = geometry.resample_chain(OUTLINE, 90)
    polygon = np.concatenate([outline, [[0.0, outline[-1, 1]], [0.0, outline[0, 1]]]])
    line = []
    top_lip = features["lips"]["upper", 0.0][-1, 1]
    low_lip = features["lips"]["lower", 0.0][-1, 1]
    for start, stop in ((outline[0, 1], top_lip), (low_lip, outline[-1, 1])):
        middle_v = [start]
        while middle_v[-1] > stop:
            here = np.array([[0.0, middle_v[-1]]])
            middle_v.append(middle_v[-1] - float(spacing(here, features)[0]))
        scaled = start + (np.array(middle_v) - start) * (stop - start) / (middle_v[-1] - start)
        line.append(scaled[1:-1])
    line = np.concatenate(line)
    lips = np.concatenate(list(features["lips"].values()))
    fixed = np.concatenate([features["eye"], lips, np.stack([0 * line, line], axis=1), outline])
    fixed = fixed[np.sort(np.unique(np.round(fixed, 6), axis=0, return_index=True)[1])]
    points = np.concatenate([fixed, relax(fixed, features, polygon, rounds)])
    points[np.abs(points[:, 0]) < 1e-6, 0] = 0.0
    simplices = Delaunay(points).simplices
    centroids = points[simplices].mean(axis=1)
    seam = geometry.lip_curves(25)[1]
    slit = np.concatenate([features["lips"]["upper", 1.0], features["lips"]["lower", 1.0][::-1]])
    slit = np.concatenate([slit, seam[:1]])
    simplices = simplices[inside_polygon(centroids, polygon) & ~inside_polygon(centroids, slit)]
    a, b, c = (points[simplices[:, i]] for i in range(3))
    area = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
    simplices = np.where((area > 0)[:, None], simplices, simplices[:, [0, 2, 1]])
    simplices = simplices[np.abs(area) > 1e-9]
    used = np.unique(simplices)
    renumber = np.full(len(points), -1)
    renumber[used] = np.arange(len(used))
    points, simplices = points[used], renumber[simplices]

    # Mirror: points on the middle line are shared.
    mirror = np.arange(len(points))
    side = np.nonzero(points[:, 0] < 0)[0]
    mirror[side] = len(points) + np.arange(len(side))
    full = np.concatenate([points, points[side] * [-1.0, 1.0]])
    triangles = np.concatenate([simplices, mirror[simplices][:, [0, 2, 1]]])

    tree = cKDTree(full)
    label = np.full(len(full), SKIN)
    left = np.stack([-np.abs(full[:, 0]), full[:, 1]], axis=1)
    label[inside_polygon(left, features["margin"])] = EYE
    left_of = geometry.lip_curves(25)
    seam_v = np.interp(left[:, 0], left_of[1][:, 0], left_of[1][:, 1])
    for chain, sign, name in ((left_of[0], 1, UPPER_LIP), (left_of[2], -1, LOWER_LIP)):
        border = np.interp(left[:, 0], chain[:, 0], chain[:, 1])
        within = (left[:, 0] > chain[0, 0] - 1e-6) & (sign * (left[:, 1] - seam_v) > 1e-7)
        label[within & (sign * (left[:, 1] - border) < 1e-6)] = name
    rows = []
    for name in ("upper", "lower"):
        row = features["lips"][name, 1.0]
        row = np.concatenate([row, row[-2::-1] * [-1.0, 1.0]])
        rows.append(tree.query(row)[1].tolist())
    for row in rows:  # the closed mouth
        inner = row[1:-1]
        full[inner, 1] -= (
            np.sign(full[inner, 1] - np.interp(-np.abs(full[inner, 0]), seam[:, 0], seam[:, 1]))
            * SLIT
        )
    return full, triangles, label, rows[0], rows[1]


def grid_triangles(rows: int, columns: int, flip: bool = False) -> np.ndarray:
    """Two triangles per cell of a grid of vertices, numbered row by row."""
    i, j = np.meshgrid(np.arange(rows - 1), np.arange(columns - 1), indexing="ij")
    a = (i * columns + j).ravel()
    b, c, d = a + 1, a + columns, a + columns + 1
    triangles = np.concatenate([np.stack([a, c, b], 1), np.stack([b, c, d], 1)])
    return triangles[:, ::-1] if flip else triangles


def component_mixings(mesh: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What the 80 identity and the 80 texture components are made of."""
    template = Template(
        coordinates=mesh["template"].astype(np.float64),
        **{k: v.astype(np.int32) for k, v in mesh.items() if k != "template"},
    )
    shape = mean_face_shape(template)
    return {
        "identity_mixing": component_mixing(identity_factors(template, shape), 80),
        "texture_mixing": component_mixing(texture_factors(template), 80),
    }


def face_mesh(relaxations: int) -> dict[str, np.ndarray]:
    """What the file of the built-in model holds.

    Args:
        relaxations: rounds of spring relaxation.

    Returns:
        template (n, 2) float32, triangles (f, 3) uint16, label (n,) uint8, upper_seam and
        lower_seam (s,) uint16, identity_mixing and texture_mixing.
    """
    uv, triangles, label, upper_seam, lower_seam = skin_mesh(relaxations)
    coordinates, triangles, label = [uv], [triangles], [label]
    count = len(uv)
    columns = len(upper_seam)
    s = np.linspace(-1.0, 1.0, columns)
    for name, seam, flip in ((UPPER_CAVITY, upper_seam, False), (LOWER_CAVITY, lower_seam, True)):
        rows = CAVITY_ROWS
        t = np.arange(1, rows + 1) / rows
        coordinates.append(np.stack(np.meshgrid(s, t), axis=-1).reshape(-1, 2))
        label.append(np.full(rows * columns, name))
        number = np.concatenate([seam, count + np.arange(rows * columns)])
        triangles.append(number[grid_triangles(rows + 1, columns, flip)])
        count += rows * columns
    for name, rows, columns in (
        (UPPER_TEETH, TEETH_ROWS, TEETH_COLUMNS),
        (LOWER_TEETH, TEETH_ROWS, TEETH_COLUMNS),
        (TONGUE, TONGUE_ROWS, TONGUE_COLUMNS),
    ):
        s, t = np.linspace(-1.0, 1.0, columns), np.linspace(0.0, 1.0, rows)
        coordinates.append(np.stack(np.meshgrid(s, t), axis=-1).reshape(-1, 2))
        label.append(np.full(rows * columns, name))
        triangles.append(count + grid_triangles(rows, columns, flip=False))
        count += rows * columns
    coordinates = np.concatenate(coordinates)
    triangles = np.concatenate(triangles)
    assert triangles.max() < 2**16
    mesh = {
        "template": coordinates.astype(np.float32),
        "triangles": triangles.astype(np.uint16),
        "label": np.concatenate(label).astype(np.uint8),
        "upper_seam": np.array(upper_seam, np.uint16),
        "lower_seam": np.array(lower_seam, np.uint16),
    }
    return mesh | component_mixings(mesh)
