"""The acoustic model `phonemes`, with made-up weights; with hama's where that is installed."""

import dataclasses
import functools
import json
import struct
import subprocess
import sys
import tracemalloc

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import erf, expit, log_softmax, softmax

from facial_jax.audio import acoustic, hama_package, phone_rows, phonemes
from facial_jax.audio.acoustic import AcousticModel, acoustic_model_hash, load_acoustic_model
from facial_jax.audio.lip_groups import CONSONANTS, LIP_GROUPS, VOWELS, group_matrix
from facial_jax.audio.phonemes import PhonemeAcousticModel
from facial_jax.audio.recogniser import Recogniser, log_mel_energies, power_spectrum, recognise
from facial_jax.audio.waveform import AudioSource
from facial_jax.compilation import jit
from facial_jax.synthesis import sample_speech

RATE = 16000
GROUPS = len(LIP_GROUPS)
TABLE = " ".join((CONSONANTS | VOWELS).values()).split()
TOKENS = ("<pad>", *TABLE, "ː", "<wb>", "<blank>")
WIDTH, HIDDEN, KERNEL, HEADS, BLOCKS, BANDS = 8, 12, 5, 4, 2, 10
P, T, ɑ = LIP_GROUPS.index("p"), LIP_GROUPS.index("t"), LIP_GROUPS.index("ɑ")


def made_up_tensors():
    """A tiny recogniser's tensors, named as in the package."""
    rng = np.random.default_rng(0)
    window, bins = np.hanning(401)[:400], np.arange(201)[:, None] * np.arange(400) * 2 * np.pi / 400
    triangles = np.maximum(0.0, 1 - np.abs(np.arange(201)[:, None] / 20 - np.arange(BANDS)))

    def normal(*shape):
        return rng.normal(0.0, 0.4, shape).astype(np.float16)

    tensors = {
        "mel_fb": triangles.astype(np.float32),
        "stft_real_kernel": (window * np.cos(bins))[:, None].astype(np.float32),
        "stft_imag_kernel": (window * -np.sin(bins))[:, None].astype(np.float32),
        "acoustic_model.model.proj.weight": normal(len(TOKENS), WIDTH, 1),
        "acoustic_model.model.proj.bias": normal(len(TOKENS)),
        # Numbers of two and of three digits: their order is not that of letters.
        "onnx::Conv_98": normal(WIDTH, BANDS, 3),
        "onnx::Conv_99": normal(WIDTH),
    }
    for i in range(BLOCKS):
        prefix = f"acoustic_model.model.blocks.{i}."
        for name in ("ffn1.norm", "attn_norm", "conv.norm", "ffn2.norm", "norm"):
            tensors[f"{prefix}{name}.weight"] = 1 + normal(WIDTH)
            tensors[f"{prefix}{name}.bias"] = normal(WIDTH)
        for name, size in {
            "ffn1.fc1": HIDDEN,
            "ffn1.fc2": WIDTH,
            "ffn2.fc1": HIDDEN,
            "ffn2.fc2": WIDTH,
            "attn.out_proj": WIDTH,
            "conv.pointwise2": WIDTH,
            "conv.pointwise1": 2 * WIDTH,
        }.items():
            tensors[f"{prefix}{name}.bias"] = normal(size)
        tensors[prefix + "attn.in_proj_bias"] = normal(3 * WIDTH)
        tensors[prefix + "conv.pointwise1.weight"] = normal(2 * WIDTH, WIDTH, 1)
        tensors[prefix + "conv.pointwise2.weight"] = normal(WIDTH, WIDTH, 1)
        tensors[f"onnx::Conv_{101 + 3 * i}"] = normal(WIDTH, 1, KERNEL)
        tensors[f"onnx::Conv_{102 + 3 * i}"] = normal(WIDTH)
        sizes = [(WIDTH, HIDDEN), (HIDDEN, WIDTH), (WIDTH, 3 * WIDTH), (WIDTH, WIDTH)]
        for k, shape in enumerate([*sizes, *sizes[:2]]):
            tensors[f"onnx::MatMul_{96 + 9 * i + k}"] = normal(*shape)
    return tensors


def write_hama(path, tensors):
    """The package's file format."""
    index, body = b"", b""
    for name, array in tensors.items():
        kind = {"float32": 0, "float16": 1}[array.dtype.name]
        raw = array.tobytes()
        index += struct.pack("<H", len(name.encode())) + name.encode()
        index += struct.pack(f"<BB{array.ndim}I", kind, array.ndim, *array.shape)
        index += struct.pack("<QQ", len(body), len(raw))
        body += raw + bytes(-len(raw) % 16)
    head = b"HAMAPK\x01\x02" + struct.pack("<I", len(tensors)) + index
    path.write_bytes(head + bytes(-len(head) % 16) + body)


def write_package(folder, tensors):
    """Something that is found as the package hama when `folder` is on the path."""
    assets = folder / "hama" / "assets"
    assets.mkdir(parents=True)
    (folder / "hama" / "__init__.py").write_text("raise ImportError('not to be imported')\n")
    write_hama(assets / "asr_waveform.hama", tensors)
    (assets / "g2p_vocab.json").write_text(
        json.dumps({"encoder": [], "decoder": TOKENS[:-2]}), encoding="utf-8"
    )


@pytest.fixture
def no_cache(monkeypatch):
    """The package is looked for anew, before and after the test."""
    caches = (
        hama_package.check_package,
        hama_package.load_recogniser,
        acoustic.load_acoustic_model,
        acoustic.acoustic_model_hash,
    )
    for cached in caches:
        cached.cache_clear()
    # What another test has imported is found without a look at the path.
    monkeypatch.delitem(sys.modules, "hama", raising=False)
    yield
    for cached in caches:
        cached.cache_clear()


@functools.cache
def made_up_recogniser():
    tensors = {name: x.astype(np.float32) for name, x in made_up_tensors().items()}
    return hama_package.convert_weights(tensors, heads=HEADS)


@functools.cache
def made_up_model():
    return PhonemeAcousticModel(*made_up_recogniser(), TOKENS)


def real_model():
    if not hama_package.is_installed():
        pytest.skip("the package hama is not installed")
    return load_acoustic_model("phonemes")


@pytest.fixture(scope="module")
def model():
    return real_model()


def listen(path):
    return np.concatenate(list(AudioSource(path).blocks(RATE)))[:, 0]


def log_mel_of(samples, kernels, filters):
    """Log mel energies, each product added up one by one, as hama's engine does."""
    frames = np.stack([samples[i : i + 400] for i in range(0, len(samples) - 399, 160)]).astype(
        np.float32
    )
    spectrum = np.zeros((len(frames), 402), np.float32)
    for k in range(400):
        spectrum += frames[:, k : k + 1] * kernels[k]
    power = spectrum[:, :201] ** 2 + spectrum[:, 201:] ** 2
    energies = np.zeros((len(frames), filters.shape[1]), np.float32)
    for k in range(201):
        energies += power[:, k : k + 1] * filters[k]
    return np.log(np.maximum(energies, 1e-10)).astype(np.float16).astype(np.float32)


def conformer(tensors, log_mel):
    """The network in NumPy: (f, bands) to (t, tokens)."""
    w = {name: x.astype(np.float64) for name, x in tensors.items()}

    def norm(x, name):
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
        return x * w[name + ".weight"] + w[name + ".bias"]

    def swish(x):
        return x * expit(x)

    def feed_forward(x, name, a, b):
        y = swish(norm(x, name + ".norm") @ a + w[name + ".fc1.bias"])
        return y @ b + w[name + ".fc2.bias"]

    padded = np.pad(log_mel.astype(np.float64), ((1, 1), (0, 0)))
    x = np.stack(
        [
            np.einsum("kc,dck->d", padded[i : i + 3], w["onnx::Conv_98"]) + w["onnx::Conv_99"]
            for i in range(0, len(log_mel), 2)
        ]
    )
    x = 0.5 * x * (1 + erf(x / 1.4140625))
    for i in range(BLOCKS):
        prefix = f"acoustic_model.model.blocks.{i}."
        a, b, c, d, e, f = (w[f"onnx::MatMul_{96 + 9 * i + k}"] for k in range(6))
        x = x + 0.5 * feed_forward(x, prefix + "ffn1", a, b)
        y = norm(x, prefix + "attn_norm") @ c + w[prefix + "attn.in_proj_bias"]
        q, k, v = (part.reshape(len(x), HEADS, -1) for part in np.split(y, 3, axis=1))
        share = softmax(np.einsum("ihd,jhd->hij", q, k) / np.sqrt(WIDTH // HEADS), axis=-1)
        seen = np.einsum("hij,jhd->ihd", share, v).reshape(len(x), WIDTH)
        x = x + seen @ d + w[prefix + "attn.out_proj.bias"]
        y = norm(x, prefix + "conv.norm") @ w[prefix + "conv.pointwise1.weight"][:, :, 0].T
        y = y + w[prefix + "conv.pointwise1.bias"]
        y = y[:, :WIDTH] * expit(y[:, WIDTH:])
        taps, bias = w[f"onnx::Conv_{101 + 3 * i}"][:, 0], w[f"onnx::Conv_{102 + 3 * i}"]
        columns = [np.convolve(y[:, c], taps[c, ::-1], "same") for c in range(WIDTH)]
        y = swish(np.stack(columns, axis=1) + bias)
        y = y @ w[prefix + "conv.pointwise2.weight"][:, :, 0].T
        x = x + y + w[prefix + "conv.pointwise2.bias"]
        x = norm(x + 0.5 * feed_forward(x, prefix + "ffn2", e, f), prefix + "norm")
    logits = x @ w["acoustic_model.model.proj.weight"][:, :, 0].T
    return log_softmax(logits + w["acoustic_model.model.proj.bias"], axis=-1)


def all_valid(samples):
    return np.ones((len(samples), (samples.shape[1] - 400) // 160 + 1), np.bool_)


# The network.


def test_a_file_of_the_package_becomes_the_network_that_numpy_computes(tmp_path):
    tensors = made_up_tensors()
    write_hama(tmp_path / "weights.hama", tensors)
    read = hama_package.read_tensors(tmp_path / "weights.hama")
    assert read.keys() == tensors.keys()
    weights, config = hama_package.convert_weights(read, heads=HEADS)
    assert dataclasses.astuple(config) == (
        BANDS,
        WIDTH,
        HIDDEN,
        KERNEL,
        HEADS,
        BLOCKS,
        len(TOKENS),
    )
    sound = np.random.default_rng(1).normal(0.0, 0.1, 4000).astype(np.float32)
    got, power = jit(lambda x: recognise(weights, config, x, all_valid(x)))(sound[None])
    assert got.shape == (1, 12, len(TOKENS))
    log_mel = log_mel_energies(power, jnp.asarray(weights.mel_filters))
    expected = conformer(tensors, np.asarray(log_mel)[0])
    np.testing.assert_allclose(got[0], expected, atol=2e-5)


def test_the_spectrum_is_that_of_overlapping_frames():
    weights, _ = made_up_recogniser()
    sound = np.random.default_rng(2).normal(0.0, 0.1, (2, 2000)).astype(np.float32)
    power = np.asarray(power_spectrum(jnp.asarray(sound), jnp.asarray(weights.stft)))
    window = np.hanning(401)[:400]
    expected = [
        [np.abs(np.fft.rfft(window * x[i : i + 400])) ** 2 for i in range(0, 1601, 160)]
        for x in sound
    ]
    np.testing.assert_allclose(power, expected, rtol=1e-3, atol=1e-4)


def test_what_is_not_valid_is_as_if_the_sound_ended():
    weights, config = made_up_recogniser()
    rng = np.random.default_rng(3)
    sound = rng.normal(0.0, 0.1, (1, 40 * 160 + 240)).astype(np.float32)
    valid = np.zeros((1, 40), np.bool_)
    valid[:, 10:30] = True
    run = jit(lambda x, valid: recognise(weights, config, x, valid)[0])
    alone = run(sound[:, 1600 : 1600 + 20 * 160 + 240], np.ones((1, 20), np.bool_))
    np.testing.assert_allclose(run(sound, valid)[:, 5:15], alone, atol=1e-4)
    assert np.isfinite(run(sound, valid)).all()


def engine_session():
    engine = pytest.importorskip("hama._engine")
    if not engine.available():
        pytest.skip("the package hama has no engine for this machine")
    from importlib import resources

    return engine.AsrSession(
        resources.files("hama.assets").joinpath("asr_waveform.hama").read_bytes()
    )


def assert_the_packages_own(sound):
    """The network gives what the package's engine gives; by the real weights."""
    session = engine_session()
    weights, config, _ = hama_package.load_recogniser()
    theirs = session.run(["log_probs"], {"waveform": sound})[0][0]
    padded = np.pad(sound, 200, mode="reflect")
    # Given what the engine hears, to the last step of its rounding to float16.
    log_mel = log_mel_of(padded, weights.stft, weights.mel_filters)[None]
    network = jit(Recogniser(config).apply)
    ours = network({"params": weights.params}, log_mel, np.ones(log_mel.shape[:2], np.bool_))
    assert np.abs(np.asarray(ours)[0] - theirs).max() < 1e-3
    # Hearing for itself, where some energies are rounded to the step beside.
    ours = jit(lambda x: recognise(weights, config, x, all_valid(x))[0])(padded[None])
    ours = np.asarray(ours)[0]
    assert np.abs(np.exp(ours) - np.exp(theirs)).max() < 1e-3
    assert np.abs(ours - theirs).max() < 2e-2
    assert (ours.argmax(axis=1) == theirs.argmax(axis=1)).all()


def test_the_network_is_the_packages_own(model):
    assert_the_packages_own(listen(sample_speech())[: 16 * RATE])


# The package's files.


def test_the_package_is_read_but_not_imported(tmp_path, monkeypatch, no_cache):
    write_package(tmp_path, made_up_tensors())
    monkeypatch.syspath_prepend(tmp_path)
    digest = hama_package.files_hash(*hama_package._files())
    monkeypatch.setattr(hama_package, "KNOWN_SHA256", digest)
    _, config, tokens = hama_package.load_recogniser()
    assert (config.width, config.blocks, tokens) == (WIDTH, BLOCKS, TOKENS)
    loaded = load_acoustic_model("phonemes")
    assert isinstance(loaded, AcousticModel)
    sound = np.random.default_rng(0).normal(0.0, 0.1, RATE).astype(np.float32)
    np.testing.assert_array_equal(loaded([sound]), made_up_model()([sound]))
    first = acoustic_model_hash("phonemes")
    monkeypatch.setattr(phonemes, "ROWS_VERSION", phonemes.ROWS_VERSION + 1)
    acoustic_model_hash.cache_clear()
    assert len(first) == 64
    assert acoustic_model_hash("phonemes") != first


def test_what_is_wrong_with_the_package_is_said(tmp_path, monkeypatch, no_cache):
    monkeypatch.setattr(hama_package.importlib.util, "find_spec", lambda name: None)
    assert not hama_package.is_installed()
    with pytest.raises(FileNotFoundError, match=r"not installed.*pip install hama==1\.7\.0"):
        load_acoustic_model("phonemes")
    monkeypatch.undo()
    monkeypatch.delitem(sys.modules, "hama", raising=False)
    write_package(tmp_path, made_up_tensors())
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(hama_package.importlib.metadata, "version", lambda name: "1.9.0")
    with pytest.raises(ValueError, match=r"hama 1\.9\.0 has other weights.*hama==1\.7\.0"):
        load_acoustic_model("phonemes")
    monkeypatch.setattr(hama_package.importlib.metadata, "version", lambda name: "1.7.0")
    with pytest.raises(ValueError, match=r"damaged.*--force-reinstall hama==1\.7\.0"):
        acoustic_model_hash("phonemes")
    (tmp_path / "hama" / "assets" / "asr_waveform.hama").unlink()
    with pytest.raises(FileNotFoundError, match=r"asr_waveform\.hama is not there"):
        load_acoustic_model("phonemes")


@pytest.mark.parametrize("share", [0.001, 0.01, 0.5, 0.999])
def test_files_cut_short_are_refused_with_their_name(tmp_path, share):
    path = tmp_path / "weights.hama"
    write_hama(path, made_up_tensors())
    whole = path.read_bytes()
    path.write_bytes(whole[: max(12, int(share * len(whole)))])
    with pytest.raises(ValueError, match=r"weights\.hama is damaged"):
        hama_package.read_tensors(path)


def test_other_files_and_other_networks_are_refused(tmp_path):
    path = tmp_path / "weights.hama"
    path.write_bytes(b"RIFF" + bytes(100))
    with pytest.raises(ValueError, match=r"weights\.hama is not a file of weights"):
        hama_package.read_tensors(path)
    tensors = made_up_tensors()
    tensors["mel_fb"][3, 3] = np.nan
    write_hama(path, tensors)
    with pytest.raises(ValueError, match=r"weights\.hama is damaged.*not finite"):
        hama_package.read_tensors(path)
    whole = {name: x.astype(np.float32) for name, x in made_up_tensors().items()}
    for name in whole:
        with pytest.raises(ValueError, match="recogniser"):
            hama_package.convert_weights({k: v for k, v in whole.items() if k != name}, heads=HEADS)
    whole["onnx::MatMul_96"] = whole["onnx::MatMul_96"][:-1]
    with pytest.raises(ValueError, match="does not fit the network"):
        hama_package.convert_weights(whole, heads=HEADS)


def test_where_the_package_is_missing_the_bundled_network_takes_its_place(monkeypatch):
    assert acoustic.default_acoustic_model() == acoustic.PREFERRED
    monkeypatch.setattr(acoustic, "PREFERRED", "phonemes")
    monkeypatch.setattr(hama_package, "is_installed", lambda: True)
    assert acoustic.default_acoustic_model() == "phonemes"
    monkeypatch.setattr(hama_package, "is_installed", lambda: False)
    with pytest.warns(UserWarning, match="hama is not installed.*bundled"):
        assert acoustic.default_acoustic_model() == "bundled"


# The table of groups.


def test_every_token_is_in_one_group_at_most():
    matrix = group_matrix(TOKENS)
    assert matrix.shape == (len(TOKENS), GROUPS)
    assert matrix[1 : 1 + len(TABLE)].sum(axis=1).tolist() == [1.0] * len(TABLE)
    assert not matrix[0].any()
    assert not matrix[-3:].any()
    for p in ("p", "b", "m"):
        assert matrix[TOKENS.index(p), P] == 1
    with pytest.raises(ValueError, match="'ɔɪ'"):
        group_matrix(tuple(t for t in TOKENS if t != "ɔɪ"))


# Rows from probabilities.


def heard(count, *phones):
    """Probabilities with a peak of certainty c at each (row, group, c)."""
    probabilities = np.zeros((count, GROUPS), np.float32)
    for row, group, certainty in phones:
        probabilities[row, group] = certainty
    return probabilities


def spans_in(probabilities):
    return phone_rows.phone_spans(*phone_rows.find_phones(probabilities), len(probabilities))


def test_a_phone_fills_the_time_to_halfway_to_its_neighbours():
    # The delay is 2.5 rows: middles at 7.5, 11.5 and 17.5, boundaries at 9.5 and 14.5. Row i lasts
    # from i − 0.5 to i + 0.5; consonants reach 4.5 rows from their middles.
    spans = spans_in(heard(40, (10, P, 1), (14, ɑ, 1), (20, T, 1)))
    expected = np.zeros((40, GROUPS))
    expected[3, P], expected[4:10, P] = 0.5, 1.0
    expected[10:15, ɑ] = 1.0
    expected[15:22, T], expected[22, T] = 1.0, 0.5
    np.testing.assert_allclose(spans, expected, atol=1e-5)


def test_a_span_says_what_the_phone_may_have_been():
    probabilities = heard(60, (20, T, 1), (24, T, 1), (28, P, 0.6))
    probabilities[28, T], probabilities[29, P] = 0.2, 0.7
    time, may_be = phone_rows.find_phones(probabilities)
    # Rows 28 and 29, heard with 0.8 and 0.7, are one phone.
    np.testing.assert_allclose(time, [0.35, 0.43, 0.02 * (28 + 0.7 / 1.5) - 0.05], atol=1e-5)
    np.testing.assert_allclose(may_be[2, [P, T]], [1.3 / 1.5, 0.2 / 1.5], atol=1e-5)
    spans = spans_in(probabilities)
    np.testing.assert_allclose(spans[27], may_be[2], atol=1e-5)


def test_what_is_less_certain_than_nothing_and_lone_sounds_are_no_phones():
    diffuse = np.full((50, GROUPS), 0.6 / GROUPS, np.float32)
    assert not spans_in(diffuse).any()
    lone = heard(200, (50, P, 0.8), (54, ɑ, 0.8), (120, T, 0.9))
    assert not spans_in(lone).any()
    certain = heard(200, (50, P, 0.99), (54, ɑ, 0.99), (120, T, 0.9))
    time, _ = phone_rows.find_phones(certain)
    np.testing.assert_allclose(time, [0.95, 1.03], atol=1e-5)
    assert not spans_in(certain)[100:].any()


def test_peaks_come_early_and_survive_every_second_row():
    probabilities = heard(60, (20, P, 1), (31, P, 1), (40, P, 1))
    peaks = phone_rows.early_peaks(probabilities)
    # The row itself and its neighbours, through a triangle about 2.5 rows before.
    np.testing.assert_allclose(peaks[15:21, P], [0, 0.125, 0.375, 0.375, 0.125, 0], atol=1e-6)
    assert peaks[::2, P].sum() == pytest.approx(1.5)
    assert peaks[1::2, P].sum() == pytest.approx(1.5)


def test_loudness_is_free_of_level_and_colour_and_keeps_what_is_louder():
    rng = np.random.default_rng(0)
    energies = rng.normal(-5.0, 2.0, (200, 4)).astype(np.float32)
    speech = (np.arange(200) % 50 < 30).astype(np.float32)
    loudness = phone_rows.relative_loudness(energies, speech)
    other = phone_rows.relative_loudness(energies + np.float32([-3, 0, 2, 5]), speech)
    np.testing.assert_allclose(other, loudness, atol=1e-4)
    assert (loudness >= 0).all()
    assert abs(loudness[speech > 0].mean() - 1) < 0.15
    order = np.argsort(energies[:, 1])
    assert (np.diff(loudness[order, 1]) >= 0).all()
    # 4 nepers louder is one more.
    energies[0] = energies[speech > 0].mean(axis=0) + 4
    speech[0] = 0
    louder = phone_rows.relative_loudness(energies, speech)[0]
    energies[0] += 4
    np.testing.assert_allclose(
        phone_rows.relative_loudness(energies, speech)[0] - louder, 1.0, atol=0.02
    )
    assert not phone_rows.relative_loudness(energies, np.zeros(200, np.float32)).any()


def test_rows_are_zeros_where_nobody_speaks():
    energies = np.full((300, 4), -3.0, np.float32)
    phones = heard(300, (100, P, 1), (104, ɑ, 1), (110, T, 1))
    rows = phone_rows.phone_rows(phones, energies)
    assert rows.shape == (300, phone_rows.FEATURES)
    assert not rows[:85].any()
    assert not rows[120:].any()
    assert rows[95:110, :GROUPS].sum(axis=1).min() > 0.99
    assert not phone_rows.phone_rows(heard(300), energies).any()
    assert not phone_rows.phone_rows(heard(1), energies[:1]).any()


# Sound to rows.


def noise(count, seed=0, level=0.1):
    return np.random.default_rng(seed).normal(0.0, level, count).astype(np.float32)


@pytest.mark.parametrize("count", [1, 319, 320, 321, 1600, 64000, 64001, 150_000])
def test_there_is_a_row_for_every_20_ms(count):
    rows = made_up_model()([noise(count)])
    assert rows.shape == (-(-count // 320), phone_rows.FEATURES)
    assert made_up_model().feature_count == phone_rows.FEATURES == 58
    assert np.isfinite(rows).all()


@pytest.mark.parametrize("size", [1000, 7777, 32768, 10**7])
def test_windows_lie_on_a_grid_however_the_sound_comes(size):
    sound = noise(250_000)
    windows = list(phonemes._windows(sound[i : i + size] for i in range(0, 250_000, size)))
    rows = -(-250_000 // 320)
    assert len(windows) == -(-rows // 200)
    padded = np.concatenate([np.zeros(50 * 320 + 200, np.float32), sound, np.zeros(10**5)])
    for k, (samples, valid, _) in enumerate(windows):
        start = 64000 * k
        np.testing.assert_array_equal(samples, padded[start : start + len(samples)])
        row = 200 * k - 50 + np.arange(600) // 2
        np.testing.assert_array_equal(valid, (row >= -25) & (row < rows + 25))
    assert windows[-1][2] == rows


def test_rows_do_not_depend_on_how_the_sound_comes_and_are_the_same_every_time():
    sound = noise(200_000, seed=4)
    whole = made_up_model()([sound])
    for size in (1600, 100_001):
        blocks = (sound[i : i + size, None] for i in range(0, len(sound), size))
        np.testing.assert_array_equal(made_up_model()(blocks), whole)


def test_batches_of_windows_give_what_single_ones_give():
    sound = noise(250_000, seed=5)
    batched = PhonemeAcousticModel(*made_up_recogniser(), TOKENS)
    batched._batch = 3
    np.testing.assert_allclose(batched([sound]), made_up_model()([sound]), atol=1e-4)


def test_sound_without_a_sample_is_refused():
    with pytest.raises(ValueError, match="at least one sample"):
        made_up_model()([np.zeros(0, np.float32)])


def test_no_more_than_a_window_is_held():
    block = np.zeros(32768, np.float32)
    tracemalloc.start()
    count = sum(1 for _ in phonemes._windows(iter([block] * 1000)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == -(-32768 * 1000 // 64000)
    assert peak < 3e6


def made_up_music():
    time = np.arange(12 * RATE) / RATE

    def note(hertz, start, decay):
        loud = np.where(time >= start, np.exp(-decay * (time - start)), 0.0)
        return loud * sum(np.sin(2 * np.pi * hertz * k * time) / k for k in range(1, 8))

    tune = sum(
        note(base * 2 ** (step / 12), i / 4, 3.0)
        for base in (110, 220)
        for i, step in enumerate([0, 4, 7, 12, 9, 7, 5, 4] * 6)
    )
    beat = sum(noise(len(time), i, 1.0) * np.exp(-20 * ((time - i / 2) % 12)) for i in range(24))
    return (0.05 * tune + 0.1 * beat).astype(np.float32)


def test_silence_noise_and_music_are_nobody_speaking(model):
    assert not model([np.zeros(8 * RATE, np.float32)]).any()
    for level in (1e-4, 1e-2, 0.3):
        assert not model([noise(12 * RATE, level=level)]).any()
    pink = np.fft.rfft(noise(12 * RATE)) / np.sqrt(np.arange(6 * RATE + 1) + 20)
    assert not model([(4.0 * np.fft.irfft(pink)).astype(np.float32)]).any()
    assert not model([made_up_music()]).any()


def test_a_tenth_of_a_second_is_nobody_speaking(model):
    speech = listen(sample_speech())
    for sound in (speech[8000:9600], noise(1600), np.zeros(1600, np.float32)):
        assert not model([sound]).any()


def test_level_and_what_comes_later_change_little(model):
    speech = np.concatenate([listen(sample_speech())] * 3)[: 14 * RATE]
    rows = model([speech])
    assert (rows[:, :GROUPS].sum(axis=1) > 0.9).mean() > 0.5
    quiet = model([np.float32(0.1) * speech])
    assert np.abs(quiet - rows).mean() < 0.03
    # The grid is the same; only the last window has heard of the cut.
    cut = model([speech[: 11 * RATE]])
    assert np.abs(cut[:350, : 2 * GROUPS] - rows[:350, : 2 * GROUPS]).max() < 1e-5
    assert np.abs(cut[:350] - rows[:350]).max() < 0.3


def test_a_subject_remembers_what_it_listens_with(tmp_path):
    from facial_jax.subject import load_subject, save_subject

    demo = load_subject("demo")
    demo.check_acoustic_model()
    known = dataclasses.replace(
        demo, acoustic_model="bundled", acoustic_sha256=acoustic_model_hash("bundled")
    )
    save_subject(tmp_path / "known", known, face_model="procedural")
    load_subject(tmp_path / "known").check_acoustic_model()
    other = dataclasses.replace(known, acoustic_sha256="0" * 64)
    save_subject(tmp_path / "other", other, face_model="procedural")
    with pytest.raises(ValueError, match="another acoustic model than bundled"):
        load_subject(tmp_path / "other").check_acoustic_model()


def test_importing_the_library_does_not_import_the_package():
    code = "import facial_jax, sys; assert 'hama' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
