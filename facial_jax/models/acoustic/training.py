"""How the acoustic network is trained.

An interrupted training goes on from its last checkpoint. The learning rate stays level and falls
to zero over the last part, so a finished training can be prolonged with more `--steps`.
"""

import functools
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import flax.linen as nn
import flax.serialization
import jax
import jax.numpy as jnp
import numpy as np
import optax

from facial_jax.audio.mfcc import MEL_BANDS
from facial_jax.files import write_bytes, write_text
from facial_jax.models.acoustic.batches import (
    AugmentationConfig,
    BatchConfig,
    BatchMaker,
    SpeechBatch,
)
from facial_jax.models.acoustic.corpus import PHONES, SpeechCorpus, hours, load_corpus, save_corpus
from facial_jax.models.acoustic.network import BLANK, CHARACTERS, AcousticConfig, AcousticNetwork
from facial_jax.models.layers.parameters import save_variables


@dataclass(frozen=True)
class TrainingConfig:
    """Everything that the result depends on.

    The bundled network was trained with these settings but for two things. Its first 7,750 steps
    ran without the colours of phones and segments, and with a little more noise and reverberation.
    And it was prolonged: its learning rate came down to zero at steps 2,700, 23,200 and 25,800, and
    began again at 8e-4 to 1e-3.
    """

    network: AcousticConfig = field(default_factory=lambda: AcousticConfig(spectral=99))
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    batch_samples: int = 16
    # recordings of 5 s in a batch
    batch_frames: int = 256
    # length of one, at 50 per second
    speakers: int = 4500
    # random voices, five sentences each
    held_out_speakers: int = 100
    # for validation, with voices that the training never hears
    steps: int = 50000
    # parameter updates
    learning_rate: float = 1e-3
    # highest
    warmup_steps: int = 200
    # of rising learning rate
    decay_share: float = 0.6
    # of the steps, at the end, with falling learning rate
    weight_decay: float = 1e-2
    # AdamW's
    hidden_phone_weight: float = 1.0
    # of the phones' cross-entropy, seen in the last hidden layer
    logit_phone_weight: float = 0.5
    # of the phones' cross-entropy, seen in five rows of logits: keeps them telling between letters
    seed: int = 0
    # of everything


MakeCorpus = Callable[..., SpeechCorpus]
"""(speakers, *, seed, held_out) → their speech; `held_out`: voices that are validated with."""


@jax.custom_vjp
def bfloat16_product(a, b):
    """a @ b of matrices rounded to bfloat16, accumulated in float32; so are its gradients."""
    return _product(a, b, ((1,), (0,)))


def _product(a, b, contracted):
    a, b = a.astype(jnp.bfloat16), b.astype(jnp.bfloat16)
    return jax.lax.dot_general(a, b, (contracted, ((), ())), preferred_element_type=jnp.float32)


def _product_forward(a, b):
    return bfloat16_product(a, b), (a, b)


def _transpose_in_blocks(a, side: int = 16):
    """Aᵀ, where the sides allow it in a form that XLA:CPU does not fold into the product.

    A product over the rows of both matrices it would compute in float32, three times as slowly.
    """
    rows, columns = a.shape
    if rows % side or columns % side:
        return a.T
    blocks = a.reshape(rows // side, side, columns // side, side)
    return blocks.transpose(2, 3, 0, 1).reshape(columns, rows)


def _product_backward(residuals, gradient):
    a, b = residuals
    transposed = _transpose_in_blocks(a)
    return _product(gradient, b, ((1,), (1,))), _product(transposed, gradient, ((1,), (0,)))


bfloat16_product.defvjp(_product_forward, _product_backward)


def bfloat16_dot_general(a, b, dimensions, precision=None, preferred_element_type=None):
    """What `nn.Dense` calls for its product: (…, n) with (n, m)."""
    del dimensions, precision, preferred_element_type
    return bfloat16_product(a.reshape(-1, a.shape[-1]), b).reshape(*a.shape[:-1], b.shape[-1])


class TrainedNetwork(nn.Module):
    """The acoustic network with the two heads that only the training has."""

    config: AcousticConfig
    # without spectral features, which are not trained but computed at the end

    @nn.compact
    def __call__(self, rows):
        """Logits, and the phones' logits from the hidden layer and from the logits."""
        network = AcousticNetwork(self.config, bfloat16_dot_general, name="network")
        logits, _, hidden = network.features_and_hidden(rows)
        b, steps, _ = hidden.shape
        from_hidden = nn.Dense(2 * len(PHONES), name="hidden_phones")(hidden)
        from_logits = nn.Conv(len(PHONES), (5,), name="logit_phones")(logits)
        return logits, from_hidden.reshape(b, 2 * steps, len(PHONES)), from_logits


def learning_rate_schedule(config: TrainingConfig) -> optax.Schedule:
    """Linear warm-up, a plateau, and a linear fall to zero."""
    fall = max(1, round(config.steps * config.decay_share))
    return optax.join_schedules(
        [
            optax.linear_schedule(0.0, config.learning_rate, config.warmup_steps),
            optax.constant_schedule(config.learning_rate),
            optax.linear_schedule(config.learning_rate, 0.0, fall),
        ],
        [config.warmup_steps, config.steps - fall],
    )


def phone_cross_entropy(logits, phones):
    """Mean over the frames whose phone is known."""
    known = phones >= 0
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, jnp.maximum(phones, 0))
    return jnp.sum(jnp.where(known, losses, 0.0)) / jnp.maximum(jnp.sum(known), 1).astype(float)


def training_losses(outputs, batch: SpeechBatch, config: TrainingConfig) -> dict[str, Any]:
    """CTC per character, and the phones' cross-entropies."""
    logits, from_hidden, from_logits = outputs
    positions = jnp.arange(batch.labels.shape[1])
    padding = (positions[None, :] >= batch.label_lengths[:, None]).astype(jnp.float32)
    ctc = optax.ctc_loss(logits, jnp.zeros(logits.shape[:2]), batch.labels, padding, blank_id=BLANK)
    losses = {
        "ctc": jnp.sum(ctc) / jnp.maximum(jnp.sum(batch.label_lengths), 1).astype(float),
        "hidden_phone": phone_cross_entropy(from_hidden, batch.phones),
        "logit_phone": phone_cross_entropy(from_logits, batch.phones),
    }
    losses["total"] = (
        losses["ctc"]
        + config.hidden_phone_weight * losses["hidden_phone"]
        + config.logit_phone_weight * losses["logit_phone"]
    )
    return losses


def greedy_decode(logits: np.ndarray) -> str:
    """The most probable character of each row, repetitions and blanks dropped; (t, 29 or more)."""
    best = np.argmax(logits[:, : BLANK + 1], axis=-1)
    kept = best[(np.diff(best, prepend=-1) != 0) & (best != BLANK)]
    return "".join(CHARACTERS[i] for i in kept)


def edit_distance(a: str, b: str) -> int:
    """Levenshtein's."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        previous, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (x != y))
    return row[-1]


def character_error_rate(
    logits_of: Callable[[Any], Any], batches: list[SpeechBatch]
) -> tuple[float, str]:
    """Errors per character of the greedy decoding, and one example of what is read."""
    errors = characters = 0
    example = ""
    for batch in batches:
        logits = np.asarray(logits_of(batch.rows))
        for row, label, length in zip(logits, batch.labels, batch.label_lengths, strict=True):
            text = "".join(CHARACTERS[i] for i in label[:length])
            heard = greedy_decode(row)
            errors += edit_distance(heard.strip(), text)
            characters += length
            example = example or f"{text!r} read as {heard!r}"
    return errors / max(characters, 1), example


def cached_corpus(
    work_dir: Path, speakers: int, seed: int, *, held_out: bool, make_corpus: MakeCorpus
) -> SpeechCorpus:
    """The corpus from its file, made first if it is not there."""
    name = f"corpus_{'held_out_' if held_out else ''}{speakers}_{seed}.npz"
    path = work_dir / name
    if not path.exists():
        save_corpus(path, make_corpus(speakers, seed=seed, held_out=held_out))
    return load_corpus(path)


def spectral_projection(
    channels: np.ndarray, count: int, deviation: float
) -> tuple[np.ndarray, np.ndarray]:
    """Kernel and bias that reduce channels to their first principal components, turned at random.

    The turn spreads the components' variance evenly: what standardises the columns afterwards does
    not blow up the faint ones.

    Args:
        channels: (n, width), the channels of many rows.
        count: features to be had, at most as many as channels.
        deviation: root mean square of the features' standard deviations.
    """
    mean = channels.mean(axis=0, dtype=np.float64)
    _, axes = np.linalg.eigh(np.cov(channels.T.astype(np.float64)))
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(count, count)))[0]
    kernel = axes[:, ::-1][:, :count] @ turn
    kernel *= deviation / np.sqrt(np.var((channels - mean) @ kernel, axis=0).mean())
    return kernel.astype(np.float32), (-mean @ kernel).astype(np.float32)


def make_optimizer(config: TrainingConfig) -> optax.GradientTransformation:
    """AdamW with clipped gradients."""
    schedule = learning_rate_schedule(config)
    adamw = optax.adamw(schedule, b2=0.98, weight_decay=config.weight_decay)
    return optax.chain(optax.clip_by_global_norm(1.0), adamw)


@functools.cache
def compiled_functions(config: TrainingConfig) -> tuple[Callable, Callable, Callable]:
    """Jitted: key → state, (state, batch) → (state, losses), (params, rows) → (logits, first)."""
    without_spectral = replace(config.network, spectral=0)
    model, network = TrainedNetwork(without_spectral), AcousticNetwork(without_spectral)
    optimizer = make_optimizer(config)

    def initial_state(key):
        rows = jnp.zeros((1, 2 * config.network.context + 4, MEL_BANDS))
        params = model.init(key, rows)["params"]
        return params, optimizer.init(params)

    def update(state, arrays):
        params, optimizer_state = state
        batch = SpeechBatch(**arrays)

        def loss(params):
            losses = training_losses(model.apply({"params": params}, batch.rows), batch, config)
            return losses["total"], losses

        grads, losses = jax.grad(loss, has_aux=True)(params)
        with jax.numpy_dtype_promotion("standard"):  # Optax's Adam mixes steps and floats
            updates, optimizer_state = optimizer.update(grads, optimizer_state, params)
        return (optax.apply_updates(params, updates), optimizer_state), losses

    def logits_and_first(params, rows):
        variables = {"params": params}
        return network.apply(variables, rows, method=AcousticNetwork.features_and_hidden)[:2]

    return (
        jax.jit(initial_state),
        jax.jit(update, donate_argnums=0),
        jax.jit(logits_and_first),
    )


class Trainer:
    """Parameters, optimizer and step; one call of `step` is one update."""

    def __init__(self, config: TrainingConfig):
        self.config = config
        initial_state, self._update, self._logits_and_first = compiled_functions(config)
        self.state = initial_state(jax.random.key(config.seed))

    def step(self, batch: SpeechBatch) -> dict[str, Any]:
        """Update the parameters; returns the losses."""
        self.state, losses = self._update(self.state, vars(batch))
        return losses

    def logits(self, rows):
        """What the network gives for these rows."""
        return self._logits_and_first(self.state[0]["network"], rows)[0]

    def save(self, path: Path, step: int) -> None:
        """Everything needed to go on, replaced at once."""
        write_bytes(path, flax.serialization.to_bytes({"step": step, "state": self.state}))

    def restore(self, path: Path) -> int:
        """Go on from what `save` wrote; returns the step."""
        saved = flax.serialization.from_bytes({"step": 0, "state": self.state}, path.read_bytes())
        self.state = jax.tree.map(jnp.asarray, saved["state"])
        return int(saved["step"])

    def export(self, path: Path, batches: list[SpeechBatch]) -> None:
        """The network alone, as the library reads it; its projection is made for the batches."""
        params = jax.device_get(self.state[0]["network"])
        if self.config.network.spectral:
            seen = [self._logits_and_first(params, batch.rows) for batch in batches]
            logits, first = (
                np.concatenate([np.asarray(x).reshape(-1, x.shape[-1]) for x in part])
                for part in zip(*seen, strict=True)
            )
            kernel, bias = spectral_projection(
                first, self.config.network.spectral, float(logits.std(axis=0).mean())
            )
            params = params | {"spectral": {"kernel": kernel, "bias": bias}}
        save_variables(path, {"params": params}, asdict(self.config.network))


def train_acoustic(
    config: TrainingConfig,
    work_dir: Path,
    output: Path | None = None,
    *,
    make_corpus: MakeCorpus,
    say: Callable[[str], None],
    report_every: int = 100,
    checkpoint_every: int = 250,
) -> None:
    """Trains, and writes the network.

    Args:
        config: what the result depends on.
        work_dir: corpora, checkpoint and log.
        output: where the finished network goes; `acoustic.safetensors` in the work folder if not
            given.
        make_corpus: makes the speech of so many speakers.
        say: is given a line of text on how the training does, now and then.
        report_every: steps between two lines of progress.
        checkpoint_every: steps between two checkpoints and validations.
    """
    work_dir.mkdir(parents=True, exist_ok=True)
    write_text(work_dir / "config.json", json.dumps(asdict(config), indent=2))
    corpus, held_out = (
        cached_corpus(work_dir, count, config.seed, held_out=held_out, make_corpus=make_corpus)
        for count, held_out in ((config.speakers, False), (config.held_out_speakers, True))
    )
    say(f"{hours(corpus):.1f} hours of speech, {hours(held_out):.1f} held out")
    shapes = BatchConfig(config.batch_samples, config.batch_frames, config.network.context)
    batches = BatchMaker(corpus, shapes, config.augmentation, seed=config.seed)
    clean = BatchMaker(held_out, shapes, AugmentationConfig.none(), seed=config.seed)
    disturbed = replace(config.augmentation, undisturbed=())
    noisy = BatchMaker(held_out, shapes, disturbed, seed=config.seed)
    validation = {
        "clean": [clean(i) for i in range(4)],
        "disturbed": [noisy(i) for i in range(4)],
    }
    undisturbed = [
        BatchMaker(corpus, shapes, AugmentationConfig.none(), seed=config.seed)(i) for i in range(4)
    ]
    trainer = Trainer(config)
    checkpoint = work_dir / "checkpoint.msgpack"
    first = trainer.restore(checkpoint) if checkpoint.exists() else 0
    began, sums = time.monotonic(), []
    for step in range(first, config.steps):
        sums.append(trainer.step(batches(step)))
        if (step + 1) % report_every == 0 or step + 1 == config.steps:
            means = {k: float(np.mean([losses[k] for losses in sums])) for k in sums[0]}
            seconds = (time.monotonic() - began) / len(sums)
            shown = ", ".join(f"{k} {v:.3f}" for k, v in means.items())
            say(f"step {step + 1}/{config.steps}: {shown} ({seconds:.2f} s/step)")
            began, sums = time.monotonic(), []
        if (step + 1) % checkpoint_every == 0 or step + 1 == config.steps:
            paused = time.monotonic()
            trainer.save(checkpoint, step + 1)
            trainer.export(work_dir / "acoustic.safetensors", undisturbed)
            for name, held in validation.items():
                rate, example = character_error_rate(trainer.logits, held)
                say(f"  held out, {name}: character error rate {rate:.3f}; {example}")
            began += time.monotonic() - paused
    trainer.export(output or work_dir / "acoustic.safetensors", undisturbed)
