"""The built-in face model: made by this project from measurements and formulas, free of any
licence."""

from facial_jax.face.procedural.expressions import EXPRESSION_NAMES as EXPRESSION_NAMES
from facial_jax.face.procedural.model import is_built_in as is_built_in
from facial_jax.face.procedural.model import landmark_targets as landmark_targets
from facial_jax.face.procedural.model import mean_face_shape as mean_face_shape
from facial_jax.face.procedural.model import procedural_face_model as procedural_face_model
