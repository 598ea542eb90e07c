"""The phoneme recogniser on recordings of people: ../shared/speech, outside the repository."""

import json

import numpy as np
import pytest

from tests.audio.test_phonemes import RATE, P, assert_the_packages_own, listen, real_model
from tests.shared_data import shared_path

SPEECH = shared_path("speech")


@pytest.mark.parametrize("name", ["natural/joe_0.wav", "obama2.wav"])
def test_the_network_is_the_packages_own(name):
    real_model()
    assert_the_packages_own(listen(SPEECH / name)[: 16 * RATE])


def test_p_b_and_m_of_a_natural_voice_are_heard_in_time():
    model, folder = real_model(), SPEECH / "natural"
    near, late, found, spoken, right, claimed = 0.04, [], 0, 0, 0, 0
    for name, entry in json.loads((folder / "phones.json").read_text()).items():
        time, may_be = model.phones([listen(folder / name)])
        closed = time[may_be.argmax(axis=1) == P]
        truth = [(a, b) for phone, a, b in entry["phones"] if phone in ("P", "B", "M")]
        for a, b in truth:
            inside = closed[(closed >= a - near) & (closed <= b + near)] - (a + b) / 2
            spoken += 1
            found += len(inside) > 0
            late += [min(inside, key=abs)] if len(inside) else []
        claimed += len(closed)
        right += sum(any(a - near <= t <= b + near for a, b in truth) for t in closed)
    assert spoken >= 50
    assert found / spoken >= 0.9
    assert right / claimed >= 0.95
    assert abs(np.mean(late)) < 0.015
