"""Phones that are known: their groups, their rows, and their times in a sound."""

import numpy as np
import pytest

from facial_jax.audio.ipa import groups_of_ipa
from facial_jax.audio.known_phones import KnownPhone, align_phones, known_phone_rows
from facial_jax.audio.lip_groups import LIP_GROUPS
from facial_jax.audio.phone_rows import BANDS, FEATURES, LATE_S, ROW_S, phone_rows

GROUPS = len(LIP_GROUPS)
P, T, ɑ = (LIP_GROUPS.index(group) for group in ("p", "t", "ɑ"))
QUIET = np.zeros((60, BANDS), np.float32)


@pytest.mark.parametrize(
    ("ipa", "groups"),
    [
        ("p", "p"),
        ("ˈɑːɹ", "ɑ ɹ"),
        ("əl", "ə l"),
        ("tʃ", "ʃ"),
        ("t͡ʃ", "ʃ"),
        ("ts", "t s"),
        ("əʊ", "oʊ"),
        ("ɔ̃", "ɔ"),
        ("n̩", "t"),
        ("kʰ", "k"),
        ("dʲ", "t"),
        ("øː", "ʊ"),
        ("ç", "k"),
        ("ᵻ", "ɪ"),
        ("", ""),
        ("|1", ""),
    ],
)
def test_a_phone_in_the_ipa_has_its_groups(ipa, groups):
    assert [LIP_GROUPS[column] for column in groups_of_ipa(ipa)] == groups.split()


def peaks(*phones, rows=60):
    """Probabilities of a recogniser that hears a phone's group at its row for sure."""
    probabilities = np.zeros((rows, GROUPS), np.float32)
    for row, group in phones:
        probabilities[row, group] = 1.0
    return probabilities


def middle(row):
    return row * ROW_S - LATE_S


def test_known_phones_give_the_rows_of_phones_that_are_heard_for_sure():
    places = [(20, P), (25, ɑ), (29, T)]
    phones = [KnownPhone(g, middle(r) - 0.03, middle(r) + 0.03) for r, g in places]
    energies = np.random.default_rng(0).normal(size=(60, BANDS)).astype(np.float32)
    known = known_phone_rows(phones, energies)
    heard = phone_rows(peaks(*places), energies)
    assert known.shape == (60, FEATURES)
    np.testing.assert_allclose(known[:, :GROUPS], heard[:, :GROUPS], atol=1e-4)
    np.testing.assert_allclose(known[:, -BANDS:], heard[:, -BANDS:], atol=1e-4)
    # As strong as what is heard of a phone on average, in more than one row.
    inner = slice(GROUPS, 2 * GROUPS)
    np.testing.assert_allclose(known[:, inner], 1.15 * heard[:, inner], atol=1e-4)


def test_no_phones_are_rows_of_zeros_and_late_ones_are_left_out():
    assert not known_phone_rows([], QUIET).any()
    assert not known_phone_rows([KnownPhone(P, 9.0, 9.1)], QUIET).any()


def test_phones_are_found_where_they_are_heard():
    places = [(10, P), (15, ɑ), (20, P), (23, P)]
    found = align_phones([P, ɑ, P, P], peaks(*places))
    np.testing.assert_allclose(found, [middle(row) for row, _ in places], atol=1e-5)


def test_a_phone_that_is_not_heard_lies_between_its_neighbours():
    found = align_phones([P, ɑ, T], peaks((10, P), (20, T)))
    assert middle(10) < found[1] < middle(20)
    np.testing.assert_allclose(found[[0, 2]], [middle(10), middle(20)], atol=1e-5)


def test_the_path_is_the_best_of_all_paths():
    rng = np.random.default_rng(1)
    probabilities = rng.dirichlet(np.ones(GROUPS + 1) / 2, 5)[:, :GROUPS].astype(np.float32)
    groups = [P, ɑ]
    blank = 1 - probabilities.sum(axis=1)

    def score(path):  # of states: none, P, none, ɑ, none
        emitted = [blank[t] if s % 2 == 0 else probabilities[t, groups[s // 2]]
                   for t, s in enumerate(path)]  # fmt: skip
        return float(np.log(np.maximum(emitted, 1e-4)).sum())

    def paths(path):
        if len(path) == 5:
            yield path
            return
        for step in (0, 1, 2):
            state = path[-1] + step
            if state < 5 and not (step == 2 and path[-1] % 2 == 0):
                yield from paths((*path, state))

    every = [p for first in (0, 1) for p in paths((first,)) if p[-1] in (3, 4)]
    best = np.array(max(every, key=score))
    expected = []
    for phone in range(2):
        rows = np.flatnonzero(best == 2 * phone + 1)
        expected.append(middle(np.average(rows, weights=probabilities[rows, groups[phone]])))
    np.testing.assert_allclose(align_phones(groups, probabilities), expected, atol=1e-5)


def test_too_many_phones_for_the_sound_are_refused():
    with pytest.raises(ValueError, match="3 rows are too few for 4 phones"):
        align_phones([P, ɑ, T, P], peaks(rows=3))
