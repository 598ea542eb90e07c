"""From a video of a person to attributes and identity: landmarks, fitting, blink, imports."""

from facial_jax.tracking.tracker import TrackedVideo as TrackedVideo
from facial_jax.tracking.tracker import track as track
