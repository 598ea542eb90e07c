"""How the acoustic network is trained on speech that a synthesizer speaks."""

import functools
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import numpy as np
import optax
from jax.sharding import Mesh

from facial_jax.audio.mfcc import MEL_BANDS
from facial_jax.compilation import jit
from facial_jax.models.acoustic.batches import (
    AugmentationConfig,
    BatchConfig,
    BatchMaker,
    SpeechBatch,
)
from facial_jax.models.acoustic.bfloat16 import bfloat16_dot_general
from facial_jax.models.acoustic.corpus import PHONES, SpeechCorpus, hours, load_corpus, save_corpus
from facial_jax.models.acoustic.decoding import character_error_rate
from facial_jax.models.acoustic.losses import acoustic_losses
from facial_jax.models.acoustic.network import AcousticConfig, AcousticNetwork
from facial_jax.models.acoustic.projection import spectral_projection
from facial_jax.models.layers.parameters import load_variables, save_variables
from facial_jax.provenance import settings, tree_hash
from facial_jax.training.batches import Batches
from facial_jax.training.checks import check_shape
from facial_jax.training.fit import fit
from facial_jax.training.parallel import AXIS
from facial_jax.training.processes import copy_result, first_before_others
from facial_jax.training.progress import silent
from facial_jax.training.task import Losses, Report, Task, Variables

NETWORK_FILE = "acoustic.safetensors"
_NAME = "acoustic"
_VALIDATION_BATCHES = 4
_CHECKPOINT_STEPS = 250


@dataclass(frozen=True)
class AcousticTrainingConfig:
    """Everything that the result depends on.

    The bundled network was trained with these settings but for two things. Its first 7,750 steps
    ran without the colours of phones and segments, and with a little more noise and reverberation.
    And it was prolonged: its learning rate fell to zero at steps 2,700, 23,200 and 25,800, and
    restarted at 8e-4 to 1e-3.
    """

    network: AcousticConfig = field(default_factory=lambda: AcousticConfig(spectral=99))
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    start: Path | None = None
    """A network of this training to start from; None: random weights."""
    batch_samples: int = 16
    """Recordings in a batch, over all devices."""
    batch_frames: int = 256
    """Frames of each recording, at 50 per second."""
    speakers: int = 4500
    """Random voices, five sentences each."""
    held_out_speakers: int = 100
    """Speakers for validation, whose voices are not trained on."""
    steps: int = 50000
    """Parameter updates."""
    learning_rate: float = 1e-3
    """The highest learning rate."""
    warmup_steps: int = 200
    """Steps at the start in which the learning rate rises."""
    decay_share: float = 0.6
    """Share of the steps, at the end, in which the learning rate falls."""
    weight_decay: float = 1e-2
    """Weight decay of AdamW."""
    hidden_phone_weight: float = 1.0
    """Weight of the phones' cross-entropy, predicted from the last hidden layer."""
    logit_phone_weight: float = 0.5
    """Weight of the phones' cross-entropy, predicted from five rows of logits: it keeps them
    informative between letters."""
    seed: int = 0
    """Seed of corpora, initial weights and batches."""


MakeCorpus = Callable[..., SpeechCorpus]
"""(speakers, *, seed, held_out) → their speech; `held_out`: the voices for validation."""


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


def learning_rate_schedule(config: AcousticTrainingConfig) -> optax.Schedule:
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


class AcousticTask(Task):
    """Trains a `TrainedNetwork`; its `network` is what is kept."""

    save_every = validate_every = _CHECKPOINT_STEPS

    def __init__(
        self, config: AcousticTrainingConfig, corpus: SpeechCorpus, held_out: SpeechCorpus
    ):
        """`corpus` is trained on; `held_out` is of other voices.

        Raises:
            ValueError: the arrays of a corpus do not fit together.
        """
        for name, one in (("corpus", corpus), ("held_out", held_out)):
            check_shape(f"{name}.log_mel", one.log_mel, (None, MEL_BANDS))
            check_shape(f"{name}.phones", one.phones, one.log_mel.shape[:1])
            check_shape(f"{name}.bounds", one.bounds, (len(one) + 1,))
            check_shape(f"{name}.speakers", one.speakers, (len(one),))
        self.config = config
        self.steps, self.seed, self.batch_size = config.steps, config.seed, config.batch_samples
        without_spectral = replace(config.network, spectral=0)
        self._network = TrainedNetwork(without_spectral)
        self._kept = AcousticNetwork(without_spectral)
        shapes = BatchConfig(config.batch_samples, config.batch_frames, config.network.context)

        def maker(corpus: SpeechCorpus, augmentation: AugmentationConfig) -> BatchMaker:
            return BatchMaker(corpus, shapes, augmentation, seed=config.seed)

        self.make_batch = maker(corpus, config.augmentation)
        self._undisturbed = maker(corpus, AugmentationConfig.none())
        self._held_out = {
            "clean": maker(held_out, AugmentationConfig.none()),
            "disturbed": maker(held_out, replace(config.augmentation, undisturbed=())),
        }

    def init(self, key, batch: SpeechBatch) -> Variables:
        """The network at step 0, or from where it starts; its heads begin anew."""
        variables = jax.jit(self._network.init)(key, batch.rows)
        if self.config.start is not None:
            trained, _ = load_variables(self.config.start)
            network = {k: v for k, v in trained["params"].items() if k != "spectral"}
            variables = {"params": {**variables["params"], "network": network}}
        return {_NAME: variables}

    def optimizers(self) -> dict[str, optax.GradientTransformation]:
        """AdamW with clipped gradients."""
        schedule = learning_rate_schedule(self.config)
        adamw = optax.adamw(schedule, b2=0.98, weight_decay=self.config.weight_decay)
        return {_NAME: optax.chain(optax.clip_by_global_norm(1.0), adamw)}

    def losses(self, variables: Variables, batch: SpeechBatch, **_) -> Losses:
        """CTC and the phones' cross-entropies."""
        weights = {
            "hidden_phone": self.config.hidden_phone_weight,
            "logit_phone": self.config.logit_phone_weight,
        }
        outputs = self._network.apply(variables[_NAME], batch.rows)
        losses = acoustic_losses(outputs, batch, weights, axis_name=AXIS)
        return Losses({_NAME: losses["total"]}, losses)

    def batches(self, mesh: Mesh) -> Batches:
        """Made on the host, as they are drawn."""
        return Batches(
            self.make_batch,
            lambda _, batch: batch,
            None,
            mesh=mesh,
            size=self.batch_size,
            resident=False,
        )

    def validate(self, variables: Variables, step: int) -> Report:
        """The character error rate of held-out voices, as they are spoken and disturbed."""
        params, numbers, lines = variables[_NAME]["params"]["network"], {}, []
        for name, batches in self._validation_batches.items():
            rate, example = character_error_rate(
                lambda rows: self._logits_and_first(params, rows)[0], batches
            )
            numbers[f"character_error_rate_{name}"] = rate
            lines.append(
                f"step {step}, held out, {name}: character error rate {rate:.3f}; {example}"
            )
        return Report(numbers, lines)

    def export(self, variables: Variables, folder: Path) -> None:
        """The network alone; its projection is computed from undisturbed batches."""
        params, config = variables[_NAME]["params"]["network"], self.config.network
        if config.spectral:
            batches = [self._undisturbed(i) for i in range(_VALIDATION_BATCHES)]
            outputs = [self._logits_and_first(params, batch.rows) for batch in batches]
            logits, first = (
                np.concatenate([np.asarray(x).reshape(-1, x.shape[-1]) for x in part])
                for part in zip(*outputs, strict=True)
            )
            deviation = float(logits.std(axis=0).mean())
            kernel, bias = spectral_projection(first, config.spectral, deviation)
            params = params | {"spectral": {"kernel": kernel, "bias": bias}}
        save_variables(folder / NETWORK_FILE, {"params": params}, asdict(config))

    @functools.cached_property
    def _logits_and_first(self) -> Callable[[Any, Any], tuple[Any, Any]]:
        """Jitted: (params, rows) to logits and the first block's channels."""

        @jit
        def apply(params, rows):
            method = AcousticNetwork.features_and_hidden
            return self._kept.apply({"params": params}, rows, method=method)[:2]

        return apply

    @functools.cached_property
    def _validation_batches(self) -> dict[str, list[SpeechBatch]]:
        return {
            name: [make(i) for i in range(_VALIDATION_BATCHES)]
            for name, make in self._held_out.items()
        }


def cached_corpus(
    folder: Path, speakers: int, seed: int, *, held_out: bool, make_corpus: MakeCorpus
) -> SpeechCorpus:
    """The corpus from its file, made first if it is not there."""
    name = f"corpus_{'held_out_' if held_out else ''}{speakers}_{seed}.npz"
    path = folder / name
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        save_corpus(path, make_corpus(speakers, seed=seed, held_out=held_out))
    return load_corpus(path)


def train_acoustic(
    config: AcousticTrainingConfig,
    folder: Path,
    *,
    make_corpus: MakeCorpus,
    network: Path | None = None,
    say: Callable[[str], None] = silent,
    **options: Any,
) -> None:
    """Trains, and writes the network as `acoustic.safetensors` into the run's folder.

    Args:
        config: how.
        folder: of the run; it also keeps the corpora.
        make_corpus: makes the speech of a number of speakers.
        network: the trained network is written here too.
        say: is given a line of text on the corpora.
        options: of `facial_jax.training.fit.fit`: `devices`, `stop_after`, `progress`.
    """
    with first_before_others("corpora"):
        corpus, held_out = (
            cached_corpus(folder, count, config.seed, held_out=held_out, make_corpus=make_corpus)
            for count, held_out in ((config.speakers, False), (config.held_out_speakers, True))
        )
    say(f"{hours(corpus):.1f} hours of speech, {hours(held_out):.1f} held out")
    provenance = settings(config) | {"corpus": tree_hash(asdict(corpus))}
    fit(AcousticTask(config, corpus, held_out), folder=folder, provenance=provenance, **options)
    copy_result(folder / NETWORK_FILE, network)
