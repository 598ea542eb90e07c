"""DeepSpeech 0.1.0's acoustic network, of whatever size its weights have.

    MFCC windows ─▶ 3 dense layers ─▶ bidirectional LSTM ─▶ dense layer ─▶ character logits

`experiments/convert_deepspeech.py` makes the weights from the published graph, once. The sizes are
the tensors' own. One LSTM direction needs the future: a recording of any length is gone through
twice in pieces of one shape. The first time from its end, keeping only the backward direction's
state between every two pieces; the second time from its beginning, with both directions. The result
is that of the whole in one piece, and memory grows by two states for every piece.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from facial_jax.audio.mfcc import (
    INPUT_SIZE,
    cepstra,
    deepspeech_rows,
    deepspeech_statistics,
    log_mel,
)
from facial_jax.compilation import jit
from facial_jax.models.layers.parameters import check_weights

CHUNK_ROWS = 512
_CLIP = 20.0
_FORGET_BIAS = 1.0


@dataclass(frozen=True)
class DeepSpeechConfig:
    """Sizes of a `DeepSpeechNetwork`; the published ones are the defaults."""

    hidden: tuple[int, int, int] = (2048, 2048, 2048)
    # of the dense layers before the LSTM
    cell: int = 2048
    # of either direction of the LSTM
    after: int = 2048
    # of the dense layer after it
    outputs: int = 29
    # space, a to z, apostrophe, blank


class LstmDirection(nn.Module):
    """TensorFlow's BasicLSTMCell along time: gates i, j, f, o; 1 is added to the forget gate."""

    cell: int
    reverse: bool

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "t n"],
        valid: Bool[Array, "t"],
        state: tuple[Float[Array, "cell"], Float[Array, "cell"]],
    ) -> tuple[tuple[Float[Array, "cell"], Float[Array, "cell"]], Float[Array, "t cell"]]:
        """The last state (c, h), and h at each row; rows that are not valid change nothing."""
        inputs = x.shape[-1]
        shape = (inputs + self.cell, 4 * self.cell)
        kernel = self.param("kernel", nn.initializers.lecun_normal(), shape)
        bias = self.param("bias", nn.initializers.zeros_init(), (4 * self.cell,))
        from_input = x @ kernel[:inputs] + bias[None]

        def step(state, row):
            gates, valid = row
            c, h = state
            i, j, f, o = jnp.split(gates + h @ kernel[inputs:], 4)
            new_c = jax.nn.sigmoid(f + _FORGET_BIAS) * c + jax.nn.sigmoid(i) * jnp.tanh(j)
            new_h = jax.nn.sigmoid(o) * jnp.tanh(new_c)
            state = (jnp.where(valid, new_c, c), jnp.where(valid, new_h, h))
            return state, state[1]

        return jax.lax.scan(step, state, (from_input, valid), reverse=self.reverse)


class DeepSpeechNetwork(nn.Module):
    """The acoustic network of DeepSpeech 0.1.0 (Hannun et al. 2014, with an LSTM)."""

    config: DeepSpeechConfig

    def setup(self):
        """The layers, called as in the published graph."""
        self.h1, self.h2, self.h3 = (nn.Dense(n) for n in self.config.hidden)
        self.forward = LstmDirection(self.config.cell, reverse=False)
        self.backward = LstmDirection(self.config.cell, reverse=True)
        self.h5, self.h6 = nn.Dense(self.config.after), nn.Dense(self.config.outputs)

    def __call__(
        self,
        rows: Float[Array | np.ndarray, "t 494"],
        valid: Bool[Array | np.ndarray, "t"],
        before: tuple[Float[Array, "cell"], Float[Array, "cell"]],
        after: tuple[Float[Array, "cell"], Float[Array, "cell"]],
    ) -> tuple[tuple[Float[Array, "cell"], Float[Array, "cell"]], Float[Array, "t outputs"]]:
        """Logits of a piece, and the forward direction's state at its end.

        Args:
            rows: normalised MFCC windows.
            valid: False for rows past the recording's end, which change nothing.
            before: the forward direction's state at the piece's beginning; zeros at the first.
            after: the backward direction's state at the piece's end; zeros at the last.
        """
        x, valid = self._dense(jnp.asarray(rows)), jnp.asarray(valid)
        state, ahead = self.forward(x, valid, before)
        _, back = self.backward(x, valid, after)
        hidden = _clipped_relu(self.h5(jnp.concatenate([ahead, back], axis=-1)))
        return state, self.h6(hidden)

    def backward_state(
        self,
        rows: Float[Array | np.ndarray, "t 494"],
        valid: Bool[Array | np.ndarray, "t"],
        after: tuple[Float[Array, "cell"], Float[Array, "cell"]],
    ) -> tuple[Float[Array, "cell"], Float[Array, "cell"]]:
        """The backward direction's state at a piece's beginning, from that at its end."""
        return self.backward(self._dense(jnp.asarray(rows)), jnp.asarray(valid), after)[0]

    def _dense(self, x):
        for layer in (self.h1, self.h2, self.h3):
            x = _clipped_relu(layer(x))
        return x


class DeepSpeechAcousticModel:
    """DeepSpeech's character logits, 50 rows per second."""

    def __init__(self, variables: dict, config: DeepSpeechConfig, *, chunk_rows: int = CHUNK_ROWS):
        """Checks the variables against the network."""
        if chunk_rows < 1:
            raise ValueError(f"chunk_rows: expected a positive number, got {chunk_rows}")
        self.config, self.chunk_rows = config, chunk_rows
        network = DeepSpeechNetwork(config)
        state = (jax.ShapeDtypeStruct((config.cell,), np.float32),) * 2
        check_weights(
            variables,
            network,
            jax.ShapeDtypeStruct((1, INPUT_SIZE), np.float32),
            jax.ShapeDtypeStruct((1,), np.bool_),
            state,
            state,
            source="DeepSpeech's weights",
        )
        self._variables = jax.tree.map(jnp.asarray, variables)
        self._logits = jit(network.apply)
        self._backward_state = jit(
            lambda variables, rows, valid, after: network.apply(
                variables, rows, valid, after, method=DeepSpeechNetwork.backward_state
            )
        )

    @property
    def feature_count(self) -> int:
        """How many features a row has."""
        return self.config.outputs

    def __call__(
        self,
        blocks: Iterable[np.ndarray],
        *,
        progress: Callable[[Iterable], Iterable] = iter,
    ) -> Float[np.ndarray, "t features"]:
        """Logits of mono sound at 16 kHz, see `facial_jax.audio.acoustic.AcousticModel`."""
        return self.from_log_mel(log_mel(iter(progress(blocks))), progress=progress)

    def from_log_mel(
        self,
        energies: Float[np.ndarray, "t 27"],
        *,
        progress: Callable[[Iterable], Iterable] = iter,
    ) -> Float[np.ndarray, "t features"]:
        """Logits for each row of `log_mel`; `progress` wraps the iteration over chunks."""
        mfcc = cepstra(energies)
        statistics, size = deepspeech_statistics(mfcc), self.chunk_rows
        starts = range(0, len(mfcc), size)

        def piece(start):
            count = min(size, len(mfcc) - start)
            rows = np.zeros((size, INPUT_SIZE), np.float32)
            rows[:count] = deepspeech_rows(mfcc, start, start + count, statistics)
            return rows, np.arange(size) < count

        nothing = (jnp.zeros(self.config.cell),) * 2
        after = [nothing]  # the backward direction's states, the last piece's first
        for start in reversed(starts[1:]):
            rows, valid = piece(start)
            after.append(self._backward_state(self._variables, rows, valid, after[-1]))
        before, logits = nothing, []
        for start in progress(starts):
            rows, valid = piece(start)
            before, piece_logits = self._logits(self._variables, rows, valid, before, after.pop())
            logits.append(np.asarray(piece_logits))
        return np.concatenate(logits)[: len(mfcc)]


def _clipped_relu(x):
    return jnp.clip(x, 0.0, _CLIP)
