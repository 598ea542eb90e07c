"""The TFDS builder of the synthetic corpus.

What a corpus holds depends on its configuration alone: not on the number of processes that make it.
"""

import collections
import concurrent.futures
import multiprocessing
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import tensorflow_datasets as tfds

from data_specs.clips import clip_features, stored_example
from data_specs.processes import begin_worker
from data_specs.synthetic_talking_head.corpus import make_clip
from data_specs.synthetic_talking_head.known_speech import known_voices_hash
from facial_jax.audio.acoustic import (
    acoustic_model_hash,
    default_acoustic_model,
    load_acoustic_model,
)
from facial_jax.data.clips import Clip, clip_entry
from facial_jax.data.splits import FACIAL_RATIO, RATIOS, SPLITS, split_of_index
from facial_jax.frame_rate import parse_frame_rate

NEW_SPEAKERS = "new_speakers_"
"""Before a split's name: the same split of the speakers whom training does not know."""


@dataclass(eq=False)
class SyntheticTalkingHeadConfig(tfds.core.BuilderConfig):
    """What is in a corpus; its name follows from the rest."""

    name: str = ""
    speakers: int = 24
    """Speakers to train, validate and test on."""
    new_speakers: int = 8
    """More of them, in splits of their own."""
    clips: int = 20
    """Clips of each speaker."""
    clip_s: float = 20.0
    fps: str = "25"
    seed: int = 0
    demo_style: bool = False
    """Everybody moves like the bundled subject."""
    acoustic_model: str = field(default_factory=default_acoustic_model)
    """Where the speech features come from: see `load_acoustic_model`."""
    natural_speech: str | None = None
    """A folder of natural voices (see `known_speech`): every second speaker has one of them."""
    ratio: str = FACIAL_RATIO
    """Clips of every ten for training, validation and test: one of `facial_jax.data.splits`."""
    soft_tissue: bool = False
    """The face's shape goes with pose and jaw: see the module of that name."""

    def __post_init__(self):
        self.fps = str(parse_frame_rate(self.fps))
        if min(self.speakers, self.clips) < 1 or self.new_speakers < 0 or self.clip_s <= 0:
            raise ValueError(
                "speakers, clips and clip_s: expected positive numbers, got "
                f"{self.speakers}, {self.clips} and {self.clip_s}; and new_speakers of at least 0, "
                f"got {self.new_speakers}"
            )
        if self.ratio not in RATIOS:
            raise ValueError(f"ratio: expected one of {', '.join(RATIOS)}, got {self.ratio!r}")
        self.acoustic_hash = acoustic_model_hash(self.acoustic_model)
        self.natural_hash = known_voices_hash(self.natural_speech) if self.natural_speech else ""
        natural = f"natural_{self.natural_hash[:8]}_" if self.natural_hash else ""
        ratio = "" if self.ratio == FACIAL_RATIO else f"split{self.ratio}_"
        self.name = (
            f"{self.speakers}and{self.new_speakers}speakers_{self.clips}x{self.clip_s:g}s_"
            f"{self.fps.replace('/', 'by')}fps_seed{self.seed}_"
            f"{'demo_style_' if self.demo_style else ''}"
            f"{'soft_tissue_' if self.soft_tissue else ''}{natural}{ratio}"
            f"{self.acoustic_hash[:8]}"
        )


class SyntheticTalkingHead(tfds.core.GeneratorBasedBuilder):
    """Made-up people talking: see `facial_jax.data.clips.Clip` for what an example holds."""

    VERSION = tfds.core.Version("1.1.0")

    def __init__(
        self, *, config: SyntheticTalkingHeadConfig, data_dir: str | os.PathLike, workers: int = 1
    ):
        """`workers` processes make the clips; with one, this process makes them itself."""
        self._workers, self._executor = workers, None
        super().__init__(config=config, data_dir=str(data_dir), file_format="array_record")

    @property
    def _optional(self) -> tuple[str, ...]:
        return ("frame_identity",) if self.builder_config.soft_tissue else ()

    def _info(self) -> tfds.core.DatasetInfo:
        config = self.builder_config
        made_from = {
            field: getattr(config, field)
            for field in ("speakers", "new_speakers", "clips", "clip_s", "fps", "seed")
        } | {"natural_speech": config.natural_hash, "soft_tissue": config.soft_tissue}
        return tfds.core.DatasetInfo(
            builder=self,
            description="Made-up people talking: speech, faces and their motion from a seed.",
            features=clip_features(
                load_acoustic_model(config.acoustic_model).feature_count, self._optional
            ),
            disable_shuffling=True,
            metadata=tfds.core.MetadataDict(
                made_from=made_from,
                acoustic=[Path(config.acoustic_model).name, config.acoustic_hash],
                clips={},
            ),
        )

    def _split_generators(self, dl_manager):
        del dl_manager
        config, splits = self.builder_config, collections.defaultdict(list)
        for speaker in range(config.speakers + config.new_speakers):
            prefix = NEW_SPEAKERS if speaker >= config.speakers else ""
            for clip in range(config.clips):
                splits[prefix + split_of_index(clip, config.ratio)].append((speaker, clip))
        names = [prefix + split for prefix in ("", NEW_SPEAKERS) for split in SPLITS]
        return {name: self._generate_examples(name, splits[name]) for name in names if splits[name]}

    def _generate_examples(self, split: str, numbers: list[tuple[int, int]]):
        config, rows = self.builder_config, self.info.metadata["clips"].setdefault(split, [])
        fixed = (
            *(config.seed, config.clip_s, config.fps, config.acoustic_model, config.demo_style),
            *(config.natural_speech, config.ratio, config.soft_tissue),
        )
        clips = _in_order(self._executor, [(*fixed, *number) for number in numbers])
        for key, clip in enumerate(clips):
            rows.append(clip_entry(clip).to_row())
            yield key, stored_example(clip, self._optional)

    def download_and_prepare(self, **options) -> None:
        """Makes the corpus, unless it was made before; one that was stopped leaves nothing."""
        if self._workers == 1:
            super().download_and_prepare(**options)
            return
        # Fresh processes: a fork of one that runs JAX may hang.
        context = multiprocessing.get_context("spawn")
        with concurrent.futures.ProcessPoolExecutor(
            self._workers, mp_context=context, initializer=begin_worker
        ) as self._executor:
            super().download_and_prepare(**options)


def build_corpus(
    config: SyntheticTalkingHeadConfig, data_dir: str | os.PathLike, *, workers: int = 1
) -> Path:
    """Makes the corpus, unless `data_dir` has it already, and returns its folder.

    Scripts that call this with more than one worker need `if __name__ == "__main__":`, because
    each worker imports them anew.
    """
    builder = SyntheticTalkingHead(config=config, data_dir=data_dir, workers=workers)
    builder.download_and_prepare()
    return Path(builder.data_dir)


def _make(task: tuple[int, float, str, str, bool, str | None, str, bool, int, int]) -> Clip:
    seed, seconds, fps, acoustic_model, demo_style, natural_speech, ratio, tissue, *number = task
    speaker, clip = number
    rate = parse_frame_rate(fps)
    return make_clip(
        seed,
        speaker,
        clip,
        seconds=seconds,
        fps=rate,
        acoustic_model=load_acoustic_model(acoustic_model),
        demo_style=demo_style,
        natural_speech=natural_speech,
        ratio=ratio,
        soft_tissue=tissue,
    )


def _in_order(executor: concurrent.futures.Executor | None, tasks: list[tuple]) -> Iterator[Clip]:
    """The clips in the tasks' order; no more than a few wait in memory."""
    if executor is None:
        yield from map(_make, tasks)
        return
    waiting: collections.deque = collections.deque()
    for task in tasks:
        waiting.append(executor.submit(_make, task))
        if len(waiting) > 4 * (os.cpu_count() or 1):
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
