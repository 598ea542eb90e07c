import numpy as np

from facial_jax.attributes import AttributeStatistics
from facial_jax.face.procedural import EXPRESSION_NAMES, procedural_face_model
from facial_jax.metrics.lips import face_lips
from facial_jax.models.facial_gan.lips import lip_places
from facial_jax.personalization.articulation import (
    OPENINGS,
    at_rest,
    is_heard,
    personal_articulation,
)

MODEL = procedural_face_model()
NOBODY = np.zeros(80, np.float32)
NOTHING, ALWAYS = np.zeros((300, 64), np.float32), np.ones(300, bool)
PLACES = lip_places(
    MODEL, AttributeStatistics(mean=np.zeros(71, np.float32), std=np.ones(71, np.float32))
)
MOUTH = [
    EXPRESSION_NAMES.index(n) for n in ("jaw_open", "lip_round", "lip_spread", "lower_lip_tuck")
]
BROW, PART = (EXPRESSION_NAMES.index(n) for n in ("brow_lower", "mouth_close"))


def general(frames=300, seed=0):
    """A mouth that opens and shuts by the jaw; its lips meet every now and then."""
    rng = np.random.default_rng(seed)
    expression = np.zeros((frames, 64), np.float32)
    expression[:, MOUTH] = np.abs(rng.standard_normal((frames, len(MOUTH)))) * 0.2
    expression[::7] = 0
    return expression


def tracked(frames=300, seed=1):
    """A person who parts the lips with hardly any jaw."""
    rng = np.random.default_rng(seed)
    expression = 0.02 * rng.standard_normal((frames, 64)).astype(np.float32)
    expression[:, MOUTH] += np.abs(rng.standard_normal((frames, len(MOUTH)))) * 0.05
    expression[:, PART] -= np.abs(rng.standard_normal(frames)) * 0.3
    return expression.astype(np.float32)


def test_the_lips_stand_where_the_general_network_puts_them_as_wide_as_the_persons():
    made = personal_articulation(MODEL, tracked(), general(), NOTHING, ALWAYS, general())
    told, own, got = (face_lips(MODEL, NOBODY, x).gap for x in (general(), tracked(), made))
    opening = np.clip(np.percentile(own, 90) / np.percentile(told, 90), *OPENINGS)
    np.testing.assert_allclose(got, opening * told, atol=2e-5)
    assert np.all(np.abs(got[::7]) < 2e-5)  # meeting lips meet


def test_silence_in_the_clip_does_not_open_the_mouth_more():
    """Nor does a mouth that is open in silence."""
    half = np.arange(300) < 150
    quiet = np.where(half[:, None], general(), 0.0).astype(np.float32)
    spoken, quietly = (
        personal_articulation(MODEL, tracked(), x, NOTHING, ALWAYS, general())
        for x in (general(), quiet)
    )
    np.testing.assert_allclose(quietly[half], spoken[half], atol=1e-5)


def test_lower_lip_and_corners_are_where_the_person_has_them_at_such_a_gap():
    """Who parts the lips with the jaw lowers the lower one by the whole gap; who raises the upper
    lip, less."""
    by_jaw, by_lip = NOTHING.copy(), NOTHING.copy()
    by_jaw[:, MOUTH[0]] = by_lip[:, PART] = np.abs(general()[:, MOUTH[0]])
    by_lip[:, PART] *= -1
    for person in (by_jaw, by_lip):
        made = personal_articulation(MODEL, person, general(), NOTHING, ALWAYS, general())
        own, got = (PLACES(x) for x in (person, made))
        slopes = [np.polyfit(x[:, 0], x[:, 2], 1)[0] for x in (own, got)]
        np.testing.assert_allclose(*slopes, rtol=0.1)


def test_lips_that_stay_still_though_a_voice_is_heard_give_no_grimaces():
    person = (tracked().mean(axis=0) + 0.02 * (tracked() - tracked().mean(axis=0))).astype(
        np.float32
    )
    made = personal_articulation(MODEL, person, general(), NOTHING, ALWAYS, general())
    assert np.abs(made).max() < 1.5


def test_they_get_there_by_the_persons_own_means():
    person = tracked()
    made = personal_articulation(MODEL, person, general(), NOTHING, ALWAYS, general())
    jaw = MOUTH[0]
    assert made[:, PART].std() > 3 * made[:, jaw].std()
    assert general()[:, jaw].std() > 3 * general()[:, PART].std()


def test_what_does_not_move_the_lips_is_as_given():
    others = np.random.default_rng(2).standard_normal((300, 64)).astype(np.float32)
    made = personal_articulation(MODEL, tracked(), general(), others, ALWAYS, general())
    np.testing.assert_array_equal(made[:, BROW], others[:, BROW])


def test_frames_without_the_person_teach_nothing():
    seen = np.arange(300) >= 40
    person = tracked()
    person[~seen] = 7.0
    made, without = (
        personal_articulation(MODEL, *rows, general())
        for rows in (
            (person, general(), NOTHING, seen),
            (person[seen], general()[seen], NOTHING[seen], seen[seen]),
        )
    )
    np.testing.assert_allclose(made[seen], without, atol=1e-5)
    assert np.abs(made).max() < 2


def test_lips_that_hardly_move_say_that_nobody_speaks():
    sentence = general()
    assert is_heard(MODEL, general(seed=1), sentence)
    assert is_heard(MODEL, 0.3 * sentence, sentence)
    assert not is_heard(MODEL, 0.1 * sentence, sentence)


def test_who_is_not_heard_speaks_about_their_face_at_rest():
    rng, sentence = np.random.default_rng(3), general()
    face = 0.1 * rng.standard_normal(64).astype(np.float32)
    person = face + 0.01 * rng.standard_normal((300, 64)).astype(np.float32)
    person[:20] = 5.0  # a grimace
    silent = np.full((300, 64), 0.02, np.float32)
    made = sentence + at_rest(MODEL, person, silent, sentence)
    told, got = (face_lips(MODEL, NOBODY, x).gap for x in (sentence, made))
    # Where a silent mouth is, the lips part no wider than the general network's.
    np.testing.assert_allclose(got, told, atol=1e-4)
    others = np.setdiff1d(np.arange(64), [*MOUTH, PART])
    apart = made.mean(axis=0) - sentence.mean(axis=0) - (face - 0.02)
    assert np.abs(apart[others]).max() < 0.02
