import dataclasses

import jax
import numpy as np
import pytest

from data_specs.synthetic_talking_head.speech_corpus import HELD_OUT_VARIANTS, make_corpus
from facial_jax.audio.acoustic import load_acoustic_model
from facial_jax.models.acoustic.batches import (
    AugmentationConfig,
    BatchConfig,
    BatchMaker,
    _colour_phones,
)
from facial_jax.models.acoustic.bfloat16 import bfloat16_dot_general
from facial_jax.models.acoustic.corpus import load_corpus, save_corpus
from facial_jax.models.acoustic.decoding import (
    character_error_rate,
    edit_distance,
    greedy_decode,
)
from facial_jax.models.acoustic.losses import phone_cross_entropy
from facial_jax.models.acoustic.network import BLANK, CHARACTERS, AcousticConfig, AcousticNetwork
from facial_jax.models.acoustic.projection import spectral_projection
from facial_jax.models.acoustic.task import (
    AcousticTask,
    AcousticTrainingConfig,
    learning_rate_schedule,
    train_acoustic,
)
from facial_jax.models.layers.parameters import load_variables
from facial_jax.training.batches import StepBatch
from facial_jax.training.parallel import data_mesh, replicate, split_batch
from facial_jax.training.step import compiled_step, initial_state
from tests.eight_devices import run_on_eight_devices
from tests.one_device import quickly_compiled

NETWORK = AcousticConfig(width=16, dilations=(1, 2), spectral=5)
CONFIG = AcousticTrainingConfig(
    network=NETWORK, batch_samples=2, batch_frames=160, speakers=3, held_out_speakers=2, steps=4
)
BATCH = BatchConfig(samples=2, frames=160, context=NETWORK.context)


@pytest.fixture(scope="module")
def corpus():
    return make_corpus(3, seed=0)


def test_the_corpus_is_whole_and_survives_its_file(corpus, tmp_path):
    assert len(corpus) == 15
    assert corpus.bounds[-1] == len(corpus.log_mel) == len(corpus.phones)
    assert np.isfinite(corpus.log_mel).all()
    save_corpus(tmp_path / "corpus.npz", corpus)
    loaded = load_corpus(tmp_path / "corpus.npz")
    assert loaded.texts == corpus.texts
    np.testing.assert_array_equal(loaded.log_mel, corpus.log_mel)
    assert set(HELD_OUT_VARIANTS) <= set(train_acoustic_variants())


def train_acoustic_variants():
    from facial_jax.speech.espeak import VARIANTS

    return [variant for variant in VARIANTS if variant]


def test_batches_depend_on_their_number_and_hold_their_text(corpus):
    maker = BatchMaker(corpus, BATCH, AugmentationConfig())
    first, again, other = maker(3), maker(3), maker(4)
    np.testing.assert_array_equal(first.rows, again.rows)
    assert not np.array_equal(first.rows, other.rows)
    assert first.rows.shape == (2, 160 + 2 * NETWORK.context, 26)
    assert np.isfinite(first.rows).all()
    text = "".join(CHARACTERS[i] for i in first.labels[0, : first.label_lengths[0]])
    assert text in " ".join(corpus.texts) or any(t in text for t in corpus.texts)


def test_undisturbed_speech_is_loud_where_phones_are_spoken(corpus):
    batch = BatchMaker(corpus, BATCH, AugmentationConfig.none())(0)
    inner = batch.rows[:, NETWORK.context : -NETWORK.context].mean(axis=-1)
    assert inner[batch.phones > 0].mean() > inner[batch.phones == 0].mean() + 1.0


def test_nobody_speaks_in_empty_samples(corpus):
    config = dataclasses.replace(AugmentationConfig(), empty=1.0)
    batch = BatchMaker(corpus, BATCH, config)(0)
    assert (batch.label_lengths == 0).all()
    assert (batch.phones == 0).all()
    assert np.isfinite(batch.rows).all()


def test_the_share_of_undisturbed_samples_changes_on_the_way():
    config = dataclasses.replace(AugmentationConfig(), undisturbed=((3, 0.5), (8, 0.9)))
    assert [config.undisturbed_share(step) for step in (0, 2, 3, 7, 8, 99)] == [
        *(0.0, 0.0, 0.5, 0.5, 0.9, 0.9)
    ]


def test_phones_take_colours_of_their_own_and_silence_none(corpus):
    still = AugmentationConfig.none()
    coloured = dataclasses.replace(still, phone_colour=0.5, segment_colour=0.3)
    plain, other = (BatchMaker(corpus, BATCH, config)(0) for config in (still, coloured))
    assert plain.rows.shape == other.rows.shape
    maker = BatchMaker(corpus, BATCH, dataclasses.replace(coloured, undisturbed=((0, 1.0),)))
    same = BatchMaker(corpus, BATCH, dataclasses.replace(still, undisturbed=((0, 1.0),)))
    np.testing.assert_array_equal(maker(0).rows, same(0).rows)
    phones = np.repeat([0, 3, 0], 20)
    rng = np.random.default_rng(0)
    speaker = np.full((60, 26), 1.0)
    spoken = np.zeros((60, 26), np.float32)
    out = _colour_phones(
        rng, dataclasses.replace(coloured, segment_colour=0.0), speaker, spoken, phones
    )
    np.testing.assert_allclose(out[:, 0][[10, 30, 50]], [0.0, 1.0, 0.0], atol=1e-6)
    assert 0.0 < out[19, 0] < out[20, 0] < 1.0


@pytest.mark.parametrize("sizes", [(2, 5, 12), (2, 24, 64)])  # the second is transposed in blocks
def test_bfloat16_products_are_the_products_but_for_their_rounding(sizes):
    rng = np.random.default_rng(0)
    a = rng.normal(size=sizes).astype(np.float32)
    b = rng.normal(size=(sizes[-1], 7)).astype(np.float32)
    dimensions = (((2,), (0,)), ((), ()))

    def total(product):
        return lambda a, b: (product(a, b, dimensions) ** 2).sum()

    rough = jax.value_and_grad(total(bfloat16_dot_general), argnums=(0, 1))(a, b)
    exact = jax.value_and_grad(total(jax.lax.dot_general), argnums=(0, 1))(a, b)
    for x, y in zip(jax.tree.leaves(rough), jax.tree.leaves(exact), strict=True):
        assert x.dtype == np.float32
        np.testing.assert_allclose(x, y, atol=0.02 * np.abs(y).max())


def test_the_projection_keeps_the_strongest_components():
    rng = np.random.default_rng(0)
    sources = rng.normal(size=(500, 3)) * [5.0, 3.0, 1.0]
    channels = sources @ np.linalg.qr(rng.normal(size=(8, 8)))[0][:3] + 4.0
    kernel, bias = spectral_projection(channels, 3, 2.0)
    features = channels @ kernel + bias
    np.testing.assert_allclose(features.mean(axis=0), 0.0, atol=1e-4)
    assert abs(np.sqrt(features.var(axis=0).mean()) - 2.0) < 1e-4
    # A rotation and one scale: distances keep their proportions.
    before = np.linalg.norm(channels[1:] - channels[:-1], axis=1)
    after = np.linalg.norm(features[1:] - features[:-1], axis=1)
    np.testing.assert_allclose(after / before, (after / before)[0], rtol=1e-4)


def prepared(config, corpus, devices=None):
    """A mesh, the task's step on it, and the state at step 0."""
    mesh, task = data_mesh(devices), AcousticTask(config, corpus, corpus)
    batch = BatchMaker(corpus, BATCH, AugmentationConfig.none())(0)
    state = replicate(initial_state(task, jax.tree.map(lambda x: x[:1], batch)), mesh)
    return compiled_step(task, mesh), state, StepBatch(0, split_batch(batch, mesh))


def test_one_step_changes_every_parameter_and_lowers_the_loss(corpus):
    config = dataclasses.replace(CONFIG, warmup_steps=1, steps=40, learning_rate=1e-2)
    step, state, batch = prepared(config, corpus, jax.devices()[:1])
    before, losses = jax.device_get(state.variables), []
    with quickly_compiled():
        for _ in range(12):
            state, metrics = step(state, batch)
            losses.append(float(metrics["total"]))
    after = jax.device_get(state.variables)
    assert all(
        not np.array_equal(a, b)
        for a, b in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True)
    )
    assert np.isfinite(losses).all()
    assert losses[-1] < 0.8 * losses[0]


EIGHT = """
import dataclasses
import jax
import numpy as np
from facial_jax.models.acoustic import task as library
from tests.models import test_acoustic_training as tests

assert len(jax.devices()) == 8
tests.BATCH = dataclasses.replace(tests.BATCH, samples=8)
config = dataclasses.replace(tests.CONFIG, batch_samples=8, warmup_steps=1)
corpus, ends = tests.make_corpus(3, seed=0), []
for devices in (jax.devices()[:1], jax.devices()):
    step, state, batch = tests.prepared(config, corpus, devices)
    begin = jax.device_get(state.variables)
    for _ in range(2):
        state, metrics = step(state, batch)
    ends.append(jax.device_get((state.variables, metrics)))
for one, many in zip(*map(jax.tree.leaves, ends), strict=True):
    np.testing.assert_allclose(one, many, rtol=5e-3, atol=1e-5)
assert len(set(np.asarray(batch.batch.label_lengths))) > 1
moved = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), begin, ends[0][0])
assert max(jax.tree.leaves(moved)) > 5e-4
print("the same")
"""


def test_eight_devices_with_sentences_of_any_length_give_the_numbers_of_one():
    assert "the same" in run_on_eight_devices(EIGHT)


@pytest.fixture
def train(corpus):
    """Trains in a folder that has its corpora already."""

    def run(folder, config=CONFIG, **options):
        folder.mkdir(exist_ok=True)
        for name in ("corpus_3_0.npz", "corpus_held_out_2_0.npz"):
            if not (folder / name).exists():
                save_corpus(folder / name, corpus)
        # Bits are compared: GPUs sum in any order.
        cpu = jax.local_devices(backend="cpu")[:1]
        said = []
        options = {"devices": cpu, "progress": False, "say": said.append} | options
        with quickly_compiled():
            train_acoustic(config, folder, make_corpus=make_corpus, **options)
        return said

    return run


def test_an_interrupted_training_goes_on_exactly(tmp_path, train):
    (line,) = train(tmp_path / "whole")
    assert "hours of speech" in line
    train(tmp_path / "parts", stop_after=2)
    assert not (tmp_path / "parts" / "acoustic.safetensors").exists()
    train(tmp_path / "parts")
    whole, parts = (
        load_acoustic_model(tmp_path / name / "acoustic.safetensors") for name in ("whole", "parts")
    )
    rows = np.random.default_rng(0).normal(9, 3, (50, 27)).astype(np.float32)
    assert whole.feature_count == whole.from_log_mel(rows).shape[1] == 29 + 5
    np.testing.assert_array_equal(parts.from_log_mel(rows), whole.from_log_mel(rows))


def test_a_training_goes_on_from_a_finished_network_in_a_folder_of_its_own(tmp_path, train):
    train(tmp_path / "first")
    network = tmp_path / "first" / "acoustic.safetensors"
    prolonged = dataclasses.replace(CONFIG, start=network, steps=1, warmup_steps=0)
    with pytest.raises(ValueError, match=r"another provenance.*start: None there"):
        train(tmp_path / "first", prolonged)
    train(tmp_path / "second", dataclasses.replace(prolonged, learning_rate=1e-7))
    before, after = (
        load_variables(tmp_path / name / "acoustic.safetensors")[0]["params"]
        for name in ("first", "second")
    )
    del before["spectral"], after["spectral"]
    moved = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), before, after)
    assert 0 < max(jax.tree.leaves(moved)) < 1e-5


def test_a_piece_gives_the_features_that_the_whole_gives():
    network, context = AcousticNetwork(NETWORK), NETWORK.context
    rows = np.random.default_rng(0).normal(size=(1, 60, 26)).astype(np.float32)
    variables = network.init(jax.random.key(0), rows)
    whole = network.apply(variables, rows)
    piece = network.apply(variables, rows[:, 10 : 14 + 2 * context])
    assert whole.shape == (1, 60 - 2 * context, NETWORK.features)
    np.testing.assert_allclose(piece, whole[:, 10:14], atol=1e-5)


def test_the_characters_come_first_and_are_what_is_decoded():
    path = [1, BLANK, 2]
    rows = np.concatenate([np.eye(BLANK + 1)[path], np.full((3, 5), 9.0)], axis=1)
    assert greedy_decode(rows) == "ab"


def test_greedy_decoding_drops_repetitions_and_blanks():
    path = [1, 1, BLANK, 1, 2, 2, 0, BLANK, 27]
    logits = np.eye(BLANK + 1)[path]
    assert greedy_decode(logits) == "aab '"


@pytest.mark.parametrize(
    ("a", "b", "distance"), [("", "abc", 3), ("abc", "abc", 0), ("kitten", "sitting", 3)]
)
def test_edit_distance(a, b, distance):
    assert edit_distance(a, b) == edit_distance(b, a) == distance


def test_the_error_rate_counts_errors_per_character(corpus):
    batch = BatchMaker(corpus, BATCH, AugmentationConfig.none())(0)
    rate, example = character_error_rate(lambda rows: np.eye(29)[[[BLANK] * 160] * 2], [batch])
    assert rate == 1.0
    assert "read as ''" in example


def test_unknown_phones_do_not_count():
    logits = np.zeros((1, 4, 5), np.float32)
    logits[0, :2, 1] = 3.0
    known = np.array([[1, 1, -1, -1]], np.int32)
    expected = float(np.log(np.exp(3.0) + 4) - 3.0)
    assert abs(float(phone_cross_entropy(logits, known)) - expected) < 1e-5


def test_the_learning_rate_rises_stays_and_falls():
    config = AcousticTrainingConfig(
        steps=1000, warmup_steps=100, learning_rate=1e-3, decay_share=0.2
    )
    schedule = learning_rate_schedule(config)
    rates = [float(schedule(step)) for step in (0, 50, 100, 500, 800, 900, 1000)]
    np.testing.assert_allclose(rates, [0, 5e-4, 1e-3, 1e-3, 1e-3, 5e-4, 0], atol=1e-9)
