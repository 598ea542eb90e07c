"""When the sounds of a sentence are said: forced alignment by PocketSphinx.

The sounds are known, only their times are looked for. On voices whose times are exact (flite's
slt, rms and awb) the boundaries are found within about 10 ms. A neural synthesizer's own durations
are no better: they say which of its inputs made a stretch of sound, which is 20 to 70 ms later than
where the sound is, and not always by the same.
"""

import functools
from collections.abc import Sequence

import numpy as np
from scipy.signal import resample_poly

from data_specs.synthetic_talking_head.phone_names import cmu_phones
from facial_jax.metrics.lips import Phone
from facial_jax.speech.espeak import SpokenSound

_RATE = 16000
_FRAME_S = 0.01
_SILENCE_S = 0.2  # around the sentence: the aligner needs some
_LONGEST_PHONE_S = 0.5
_WIDEST_BEAM = 1e-100
_SCHWA = "AX"  # which the aligner calls AH


class AlignmentError(ValueError):
    """The sentence cannot be found in the sound."""


def align(
    samples: np.ndarray, sample_rate: int, words: Sequence[Sequence[SpokenSound]]
) -> list[Phone]:
    """The times of a sentence's sounds, in CMU's symbols, vowels with their stress ("AA1").

    Args:
        samples: (n,) float, in [-1, 1].
        sample_rate: in Hz.
        words: what is said.

    Returns:
        The phones in order; silences are left out.

    Raises:
        ImportError: pocketsphinx is not installed.
        AlignmentError: the sound does not fit the words.
    """
    phones = [cmu_phones(sound) for word in words for sound in word]
    names = [name for group in phones for name in group]
    spelled = [
        " ".join(_plain(name) for sound in word for name in cmu_phones(sound)) for word in words
    ]
    decoder = _decoder()
    for pronunciation in spelled:
        if pronunciation and decoder.lookup_word(_entry(pronunciation)) is None:
            decoder.add_word(_entry(pronunciation), pronunciation, True)
    try:
        times = _search(decoder, samples, sample_rate, [_entry(p) for p in spelled if p])
    except RuntimeError as error:
        # It is in the middle of the sentence, and would begin no other.
        _decoder.cache_clear()
        raise AlignmentError(f"words: the aligner gave up ({error})") from error
    if [_plain(name) for name in names] != [name for name, _, _ in times]:
        raise AlignmentError("words: the sound could not be aligned with them")
    aligned = [
        Phone(name, max(start_s, 0.0), min(end_s, len(samples) / sample_rate))
        for name, (_, start_s, end_s) in zip(names, times, strict=True)
    ]
    longest = max(aligned, key=lambda phone: phone.end_s - phone.start_s)
    if longest.end_s - longest.start_s > _LONGEST_PHONE_S:
        raise AlignmentError(
            f"words: {longest.name} would last {longest.end_s - longest.start_s:.2f} s; "
            "something else is said"
        )
    return aligned


def _search(decoder, samples, sample_rate: int, entries: list[str]):
    """(phone, start, end) of every phone that is no silence, in seconds of the samples."""
    divisor = np.gcd(_RATE, sample_rate)
    sound = resample_poly(samples, _RATE // divisor, sample_rate // divisor)
    quiet = np.zeros(round(_SILENCE_S * _RATE))
    sound = np.concatenate([quiet, sound, quiet]) * (0.5 / max(np.abs(sound).max(), 1e-6))
    raw = (sound * 32767).astype(np.int16).tobytes()
    decoder.set_align_text(" ".join(entries))
    for step in range(2):  # first the words, then the phones in them
        if step:
            decoder.set_alignment()
        decoder.start_utt()
        decoder.process_raw(raw, full_utt=True)
        decoder.end_utt()
        if step == 0 and decoder.hyp() is None:
            raise AlignmentError("words: the sound could not be aligned with them")
    return [
        (
            phone.name,
            phone.start * _FRAME_S - _SILENCE_S,
            (phone.start + phone.duration) * _FRAME_S - _SILENCE_S,
        )
        for word in decoder.get_alignment()
        for phone in word
        if phone.name not in ("SIL", "+NSN+", "+SPN+", "+BREATH+")
    ]


@functools.cache
def _decoder():
    try:
        from pocketsphinx import Decoder, get_model_path
    except ImportError as error:
        raise ImportError(
            "pocketsphinx finds when sounds are said; install it with "
            "`pip install 'facial_jax[voices]'`"
        ) from error
    return Decoder(
        hmm=get_model_path("en-us/en-us"),
        dict=get_model_path("en-us/cmudict-en-us.dict"),
        lm=None,
        # Nothing is given up on the way: what is said is known.
        beam=_WIDEST_BEAM,
        wbeam=_WIDEST_BEAM,
        pbeam=_WIDEST_BEAM,
        bestpath=False,  # it may give a word fewer frames than its phones need
        loglevel="FATAL",
    )


def _plain(name: str) -> str:
    plain = name.rstrip("012")
    return "AH" if plain == _SCHWA else plain


def _entry(pronunciation: str) -> str:
    return "said_" + pronunciation.replace(" ", "_").lower()
