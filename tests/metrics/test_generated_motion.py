"""Table 1's columns on clips of noise."""

import jax
import numpy as np
import pytest

from facial_jax.face.procedural import procedural_face_model
from facial_jax.metrics.generated_motion import (
    COLUMNS,
    REAL,
    baselines,
    measure_motion,
    text_table,
)
from tests.random_clips import clip_source, random_clip


def clip(name, seed=0):
    made = random_clip(name, "a", 110, seed=seed, features=58)
    made.blink[:] = 0
    made.blink[10:15] = made.blink[60:65] = 4
    return made


def test_what_the_person_did_is_without_distance_and_baselines_are_not():
    test, train = clip("test"), clip_source(clip("one", 1), clip("two", 2))
    methods = {"the same": lambda x: x.attributes, **baselines(train)}
    with jax.numpy_dtype_promotion("standard"):
        table = measure_motion(methods, [test], procedural_face_model())
    assert table["the same"] == pytest.approx(table[REAL], nan_ok=True)
    assert table[REAL]["LMD, %"] == table[REAL]["mouth LMD, %"] == 0
    assert table[REAL]["blinks/s"] == pytest.approx(2 / 4.4)
    assert table[REAL]["blinks/4 s"] == 2  # of the one whole clip of four seconds
    assert table[REAL]["yaw"] == pytest.approx(np.degrees(test.pose[:, 1].std()), rel=1e-4)
    assert table["another clip"]["LMD, %"] > table["mean attributes"]["LMD, %"] > 0
    assert table["mean attributes"]["yaw"] == pytest.approx(0, abs=1e-4)
    assert np.isnan(table["mean attributes"]["MouthSync"])
    assert all(name in text_table(table) for name in COLUMNS)


def test_clips_in_which_nobody_speaks_are_refused():
    silent = clip("silent")
    silent.expression[:] = 0
    with pytest.raises(ValueError, match="somebody who speaks"):
        measure_motion({}, [silent], procedural_face_model())
