"""DeepSpeech against an independent computation, and its graph read without TensorFlow."""

import struct

import numpy as np
import pytest

from experiments.convert_deepspeech import Arguments, main
from facial_jax.audio.acoustic import load_acoustic_model
from facial_jax.audio.deepspeech import DeepSpeechAcousticModel
from facial_jax.audio.mfcc import cepstra, deepspeech_input
from facial_jax.interop.deepspeech import deepspeech_variables
from facial_jax.interop.tensorflow_graph import read_constants

HIDDEN, CELL, AFTER, OUTPUTS = (12, 10, 14), 6, 9, 29


def random_constants(seed: int = 0) -> dict[str, np.ndarray]:
    """Tensors of a small network by their names in the published graph."""
    rng = np.random.default_rng(seed)
    shapes = {
        "h1": (494, HIDDEN[0]),
        "h2": HIDDEN[:2],
        "h3": HIDDEN[1:],
        "h5": (2 * CELL, AFTER),
        "h6": (AFTER, OUTPUTS),
        "bidirectional_rnn/fw/basic_lstm_cell/kernel": (HIDDEN[2] + CELL, 4 * CELL),
        "bidirectional_rnn/bw/basic_lstm_cell/kernel": (HIDDEN[2] + CELL, 4 * CELL),
    }
    constants = {}
    for name, shape in shapes.items():
        bias = name.replace("kernel", "bias") if "kernel" in name else name.replace("h", "b")
        constants[name] = (rng.normal(size=shape) * (3 / shape[0]) ** 0.5).astype(np.float32)
        constants[bias] = rng.normal(size=shape[-1]).astype(np.float32)
    return constants


def oracle(constants, x):
    """The published network in float64, a row at a time."""
    c = {name: value.astype(float) for name, value in constants.items()}
    clipped = lambda z: np.clip(z, 0, 20)  # noqa: E731
    sigmoid = lambda z: 1 / (1 + np.exp(-z))  # noqa: E731
    for layer in "123":
        x = clipped(x @ c[f"h{layer}"] + c[f"b{layer}"])

    def direction(rows, name):
        kernel, bias = (
            c[f"bidirectional_rnn/{name}/basic_lstm_cell/{k}"] for k in ("kernel", "bias")
        )
        cell, h, made = np.zeros(CELL), np.zeros(CELL), []
        for row in rows:
            gates = np.concatenate([row, h]) @ kernel + bias
            i, j, f, o = (gates[k * CELL : (k + 1) * CELL] for k in range(4))
            cell = sigmoid(f + 1) * cell + sigmoid(i) * np.tanh(j)
            h = sigmoid(o) * np.tanh(cell)
            made.append(h)
        return np.array(made)

    both = np.concatenate([direction(x, "fw"), direction(x[::-1], "bw")[::-1]], axis=1)
    return clipped(both @ c["h5"] + c["b5"]) @ c["h6"] + c["b6"]


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def field(number: int, payload: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def const_node(name: str, array: np.ndarray, *, half: bool = False, fill: bool = False) -> bytes:
    """A NodeDef of a Const, its numbers as raw bytes, as halves, or as one value for all."""
    shape = b"".join(field(2, varint(1 << 3) + varint(n)) for n in array.shape)
    if fill:
        content = field(5, struct.pack("<f", array.flat[0]))
    elif half:
        bits = array.astype(np.float16).reshape(-1).view(np.uint16)
        content = field(13, b"".join(varint(int(bit)) for bit in bits))
    else:
        content = field(4, array.astype("<f4").tobytes())
    tensor = varint(1 << 3) + varint(19 if half else 1) + field(2, shape) + content
    attribute = field(1, b"value") + field(2, field(8, tensor))
    dtype = field(1, b"dtype") + field(2, varint(6 << 3) + varint(1))
    node = field(1, name.encode()) + field(2, b"Const") + field(5, dtype) + field(5, attribute)
    return field(1, node)


def graph(constants) -> bytes:
    """A GraphDef with these constants among other nodes."""
    placeholder = field(1, field(1, b"input_node") + field(2, b"Placeholder"))
    identity = field(1, field(1, b"h1/read") + field(2, b"Identity") + field(3, b"h1"))
    nodes = [const_node(name, array) for name, array in constants.items()]
    return placeholder + b"".join(nodes) + identity + field(4, varint(1 << 3) + varint(24))


def log_mel(rows: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(8, 3, (rows, 27)).astype(np.float32)


@pytest.mark.parametrize("rows", [1, 16, 37])
def test_logits_are_the_published_networks_however_the_recording_is_cut(rows):
    constants = random_constants()
    config, variables = deepspeech_variables(constants)
    energies = log_mel(rows)
    expected = oracle(constants, deepspeech_input(cepstra(energies)).astype(float))
    for chunk_rows in (16, 64):
        model = DeepSpeechAcousticModel(variables, config, chunk_rows=chunk_rows)
        np.testing.assert_allclose(model.from_log_mel(energies), expected, rtol=1e-4, atol=1e-4)
    assert model.feature_count == OUTPUTS


def test_the_graph_is_converted_and_found_by_its_name(tmp_path, monkeypatch):
    monkeypatch.setenv("FACIAL_JAX_CACHE", str(tmp_path / "cache"))
    load_acoustic_model.cache_clear()
    with pytest.raises(FileNotFoundError, match=r"convert_deepspeech output_graph\.pb"):
        load_acoustic_model("deepspeech")
    constants = random_constants()
    path = tmp_path / "output_graph.pb"
    path.write_bytes(graph(constants))
    main(Arguments(path))
    model = load_acoustic_model("deepspeech")
    assert (model.config.hidden, model.config.cell, model.config.after) == (HIDDEN, CELL, AFTER)
    energies = log_mel(5)
    expected = oracle(constants, deepspeech_input(cepstra(energies)).astype(float))
    np.testing.assert_allclose(model.from_log_mel(energies), expected, rtol=1e-4, atol=1e-4)
    load_acoustic_model.cache_clear()


def test_older_tensorflows_names_are_known():
    constants = random_constants()
    renamed = {
        name.replace("/kernel", "/weights").replace("/bias", "/biases"): value
        for name, value in constants.items()
    }
    for a, b in zip(deepspeech_variables(renamed), deepspeech_variables(constants), strict=True):
        assert str(a) == str(b)


def test_halves_and_repeated_values_are_read(tmp_path):
    array = np.arange(6, dtype=np.float32).reshape(2, 3) / 4
    full = np.full((3, 2), 2.5, np.float32)
    path = tmp_path / "graph.pb"
    path.write_bytes(const_node("half", array, half=True) + const_node("full", full, fill=True))
    constants = read_constants(path)
    np.testing.assert_array_equal(constants["half"], array)
    np.testing.assert_array_equal(constants["full"], full)


def test_a_few_bytes_do_not_become_a_large_tensor(tmp_path):
    path = tmp_path / "graph.pb"
    large = np.broadcast_to(np.float32(2.5), (10**4, 10**5))
    path.write_bytes(const_node("large", large, fill=True))
    with pytest.raises(ValueError, match="more than 4 times the"):
        read_constants(path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_graph_cut_short_is_refused(tmp_path, share):
    whole = graph(random_constants())
    path = tmp_path / "output_graph.pb"
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ValueError, match=r"output_graph\.pb is not a whole frozen"):
        read_constants(path)


def test_other_files_and_other_graphs_are_refused(tmp_path):
    path = tmp_path / "output_graph.pb"
    with pytest.raises(FileNotFoundError, match="there is no graph"):
        read_constants(path)
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    with pytest.raises(ValueError, match="pointer of Git LFS"):
        read_constants(path)
    constants = random_constants()
    with pytest.raises(ValueError, match="tensor h5 is missing"):
        deepspeech_variables({k: v for k, v in constants.items() if k != "h5"})
    with pytest.raises(ValueError, match=r"bidirectional_rnn/bw/.*got none"):
        deepspeech_variables({k: v for k, v in constants.items() if "bw" not in k})
    with pytest.raises(ValueError, match=r"h2 should have weights \(12, 10\)"):
        deepspeech_variables(constants | {"h2": np.zeros((12, 11), np.float32)})


def test_tensorflow_runs_the_same_graph_to_the_same_logits(tmp_path):
    tf = pytest.importorskip("tensorflow", reason="TensorFlow is the oracle here")
    constants = random_constants()
    x = deepspeech_input(cepstra(log_mel(20)))

    def lstm(rows, name):
        kernel, bias = (
            tf.constant(constants[f"bidirectional_rnn/{name}/basic_lstm_cell/{k}"])
            for k in ("kernel", "bias")
        )
        state, made = (tf.zeros(CELL), tf.zeros(CELL)), []
        for row in tf.unstack(rows):
            gates = tf.linalg.matvec(kernel, tf.concat([row, state[1]], 0), transpose_a=True) + bias
            i, j, f, o = tf.split(gates, 4)
            c = tf.sigmoid(f + 1.0) * state[0] + tf.sigmoid(i) * tf.tanh(j)
            state = (c, tf.sigmoid(o) * tf.tanh(c))
            made.append(state[1])
        return tf.stack(made)

    with tf.Graph().as_default() as built:
        rows = tf.compat.v1.placeholder(tf.float32, x.shape, name="input_node")
        h = rows
        for layer in "123":
            weights = tf.constant(constants[f"h{layer}"], name=f"h{layer}")
            biases = tf.constant(constants[f"b{layer}"], name=f"b{layer}")
            h = tf.minimum(tf.nn.relu(h @ weights + biases), 20.0)
        both = tf.concat([lstm(h, "fw"), tf.reverse(lstm(tf.reverse(h, [0]), "bw"), [0])], axis=1)
        for name in ("fw", "bw"):
            for kind in ("kernel", "bias"):
                full = f"bidirectional_rnn/{name}/basic_lstm_cell/{kind}"
                tf.constant(constants[full], name=full)
        h5, b5, h6, b6 = (tf.constant(constants[k], name=k) for k in ("h5", "b5", "h6", "b6"))
        logits = tf.minimum(tf.nn.relu(both @ h5 + b5), 20.0) @ h6 + b6
        with tf.compat.v1.Session() as session:
            expected = session.run(logits, {rows: x})
    path = tmp_path / "output_graph.pb"
    path.write_bytes(built.as_graph_def().SerializeToString())
    config, variables = deepspeech_variables(read_constants(path))
    model = DeepSpeechAcousticModel(variables, config, chunk_rows=8)
    np.testing.assert_allclose(model.from_log_mel(log_mel(20)), expected, rtol=1e-4, atol=1e-4)
