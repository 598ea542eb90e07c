"""Speech with phoneme times from espeak-ng, called through ctypes.

espeak-ng is one C library with one state: voices, rates and pitches are set before each call, and
one process speaks one utterance at a time. Its pitch pulses go on where the utterance before left
them, so the same words last some milliseconds more or less each time; a new process that says the
same things in the same order gives the same samples.
"""

import _ctypes
import contextlib
import ctypes
import functools
from dataclasses import dataclass

import numpy as np

ENGLISH_VOICES = (
    "en-us",
    "en-us-nyc",
    "en",
    "en-gb-scotland",
    "en-gb-x-rp",
    "en-gb-x-gbclan",
    "en-gb-x-gbcwmd",
    "en-029",
)
"""The English accents that espeak-ng knows; "en" is its British one."""

FEMALE_VARIANTS = (
    *("f1", "f2", "f3", "f4", "f5", "Alicia", "Andrea", "Annie", "anika", "aunty", "belinda"),
    *("grandma", "linda", "shelby", "steph", "steph2", "steph3"),
)
MALE_VARIANTS = (
    *("m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "Alex", "Andy", "Denis", "Gene", "Gene2"),
    *("Hugo", "Jacky", "Lee", "Marco", "Mario", "Michael", "Mike", "Reed", "adam", "announcer"),
    *("antonio", "benjamin", "boris", "caleb", "david", "ed", "edward", "edward2", "grandpa"),
    *("gustave", "ian", "iven", "john", "klatt", "klatt2", "klatt3", "klatt4", "klatt5", "klatt6"),
    *("max", "miguel", "norbert", "paul", "pedro", "quincy", "rob", "robert", "travis", "victor"),
    "zac",
)
OTHER_VARIANTS = ("croak", "whisper", "whisperf")
VARIANTS = (None, *FEMALE_VARIANTS, *MALE_VARIANTS, *OTHER_VARIANTS)
"""Voice qualities that can be laid over any accent; `None` is espeak-ng's plain male voice."""

# Constants of espeak-ng's speak_lib.h.
_OUTPUT_SYNCHRONOUS = 2
_INITIALIZE_PHONEME_EVENTS = 0x0001
_INITIALIZE_PHONEME_IPA = 0x0002
_INITIALIZE_DONT_EXIT = 0x8000
_CHARS_UTF8 = 1
_EVENT_LIST_TERMINATED = 0
_EVENT_PHONEME = 7
_PARAMETER_RATE = 1
_PARAMETER_PITCH = 3
_PARAMETER_RANGE = 4
_STRESS = {"'": 2, ",": 1, "ˈ": 2, "ˌ": 1}
_STRESS_MARKS = "".join(_STRESS)
_MODE_IPA = 0x02
_MODE_SEPARATED = ord("|") << 8


class _EventId(ctypes.Union):
    _fields_ = [
        ("number", ctypes.c_int),
        ("name", ctypes.c_char_p),
        ("string", ctypes.c_char * 8),
    ]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    ]


_SynthCallback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


@dataclass(frozen=True)
class Phoneme:
    """One spoken phoneme, or a pause."""

    name: str
    # espeak-ng's mnemonic, or the IPA, without its stress mark; pauses begin with "_"
    start_s: float
    end_s: float
    stress: int = 0
    # 0 none, 1 secondary, 2 primary

    @property
    def is_pause(self) -> bool:
        """True if nothing is said."""
        return self.name.startswith("_")


@dataclass(frozen=True)
class Utterance:
    """What was said: the sound and where in it each phoneme lies."""

    samples: np.ndarray
    # (n,) float32 in [-1, 1]
    sample_rate: int
    phonemes: tuple[Phoneme, ...]
    # in order, back to back, the last one ends with the samples

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.sample_rate


class _Engine:
    """The library, initialised once; collects what its callback gives."""

    def __init__(self):
        try:
            import espeakng_loader
        except ImportError as error:
            raise ImportError(
                "espeak-ng is needed to speak a text; install it with "
                "`pip install 'facial_jax[text]'` (the package espeakng-loader)"
            ) from error
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        self._library.espeak_Synth.argtypes = [
            ctypes.c_char_p,
            ctypes.c_size_t,
            ctypes.c_uint,
            ctypes.c_int,
            ctypes.c_uint,
            ctypes.c_uint,
            ctypes.c_void_p,
            ctypes.c_void_p,
        ]
        self._library.espeak_TextToPhonemes.argtypes = [
            ctypes.POINTER(ctypes.c_char_p),
            ctypes.c_int,
            ctypes.c_int,
        ]
        self._library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        self._data = str(espeakng_loader.get_data_path()).encode()
        self._initialize(ipa=False)
        self._chunks: list[np.ndarray] = []
        self._marks: list[tuple[str, float]] = []
        self._callback = _SynthCallback(self._receive)  # kept: C holds only its address
        self._library.espeak_SetSynthCallback(self._callback)

    def _initialize(self, *, ipa: bool) -> None:
        """Sets what phonemes are called in events."""
        options = _INITIALIZE_PHONEME_EVENTS | _INITIALIZE_DONT_EXIT
        options |= _INITIALIZE_PHONEME_IPA if ipa else 0
        self.sample_rate = self._library.espeak_Initialize(
            _OUTPUT_SYNCHRONOUS, 0, self._data, options
        )
        if self.sample_rate <= 0:
            raise RuntimeError(
                f"espeak-ng could not be initialised with the data in {self._data!r}"
            )
        self._ipa = ipa

    def _receive(self, samples, count, events) -> int:
        if samples and count > 0:
            self._chunks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        index = 0
        while events[index].type != _EVENT_LIST_TERMINATED:
            event = events[index]
            if event.type == _EVENT_PHONEME:
                name = event.id.string.decode("utf-8", "replace")
                self._marks.append((name, event.audio_position / 1000.0))
            index += 1
        return 0

    def transcribe(self, text: str, voice: str, mode: int) -> str:
        self._set_voice(voice)
        rest, clauses = ctypes.c_char_p(text.encode("utf-8")), []
        while rest.value is not None:
            clause = self._library.espeak_TextToPhonemes(ctypes.byref(rest), _CHARS_UTF8, mode)
            clauses.append(clause.decode("utf-8"))
        return " ".join(clauses)

    def _set_voice(self, voice: str) -> None:
        if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise ValueError(
                f"voice: espeak-ng knows no voice {voice!r}; expected a language, such as de, fr "
                f"or one of English's {', '.join(ENGLISH_VOICES)}; variants are "
                f"{', '.join(v for v in VARIANTS if v)}"
            )

    def speak(self, text, voice, rate_wpm, pitch, pitch_range, ipa) -> Utterance:
        if ipa != self._ipa:
            self._initialize(ipa=ipa)
        self._set_voice(voice)
        for parameter, value in (
            (_PARAMETER_RATE, rate_wpm),
            (_PARAMETER_PITCH, pitch),
            (_PARAMETER_RANGE, pitch_range),
        ):
            self._library.espeak_SetParameter(parameter, round(value), 0)
        self._chunks, self._marks = [], []
        encoded = text.encode("utf-8")
        status = self._library.espeak_Synth(
            encoded, len(encoded) + 1, 0, 1, 0, _CHARS_UTF8, None, None
        )
        with contextlib.suppress(AttributeError):
            self._library.espeak_Synchronize()
        if status != 0:
            raise RuntimeError(f"espeak-ng failed with status {status} on {text!r}")
        return self._utterance()

    def _utterance(self) -> Utterance:
        pcm = np.concatenate(self._chunks) if self._chunks else np.zeros(0, np.int16)
        samples = pcm.astype(np.float32) / np.float32(32768)
        duration = len(samples) / self.sample_rate
        starts = [min(start, duration) for _, start in self._marks]
        ends = [*starts[1:], duration]
        phonemes = [Phoneme("_", 0.0, starts[0] if starts else duration)]
        phonemes += [
            Phoneme(mark.lstrip(_STRESS_MARKS) or "_", start, end, _STRESS.get(mark[:1], 0))
            for (mark, _), start, end in zip(self._marks, starts, ends, strict=True)
        ]
        spoken = tuple(phoneme for phoneme in phonemes if phoneme.end_s > phoneme.start_s)
        return Utterance(samples, self.sample_rate, spoken)


@functools.cache
def _engine() -> _Engine:
    return _Engine()


def restart_engine() -> None:
    """Load the library anew, so that what is said next does not depend on what was said before."""
    handle = _engine()._library._handle
    _engine()._library.espeak_Terminate()
    _engine.cache_clear()
    if hasattr(_ctypes, "dlclose"):
        _ctypes.dlclose(handle)
    else:
        _ctypes.FreeLibrary(handle)
    _engine()
    # Its noise comes from the C library's random numbers, which it seeds with the process's id.
    ctypes.CDLL(None).srand(1)


def speak(
    text: str,
    *,
    voice: str = "en-us",
    variant: str | None = None,
    rate_wpm: int | float = 165,
    pitch: int | float = 50,
    pitch_range: int | float = 50,
    ipa: bool = False,
) -> Utterance:
    """Speak `text` with espeak-ng.

    Args:
        text: what to say; must hold something to pronounce.
        voice: an accent, one of `ENGLISH_VOICES` (or any other voice of espeak-ng).
        variant: a voice quality, one of `VARIANTS`.
        rate_wpm: words per minute, 80 to 450.
        pitch: base pitch, 0 to 100.
        pitch_range: liveliness of the intonation, 0 to 100.
        ipa: name phonemes in the IPA, in place of espeak-ng's mnemonics.

    Returns:
        The samples (22,050 Hz) and the phonemes with their times.

    Raises:
        ImportError: espeakng-loader is not installed.
        ValueError: empty text, an unknown voice or a parameter out of its range.
    """
    if not text.strip():
        raise ValueError("text: expected something to say, got an empty text")
    for name, value, low, high in (
        ("rate_wpm", rate_wpm, 80, 450),
        ("pitch", pitch, 0, 100),
        ("pitch_range", pitch_range, 0, 100),
    ):
        if not low <= value <= high:
            raise ValueError(f"{name}: expected a number from {low} to {high}, got {value}")
    if variant is not None and variant not in VARIANTS:
        raise ValueError(f"variant: expected one of {VARIANTS}, got {variant!r}")
    full_name = voice if variant is None else f"{voice}+{variant}"
    return _engine().speak(text, full_name, rate_wpm, pitch, pitch_range, ipa)


@dataclass(frozen=True)
class SpokenSound:
    """How a phoneme of a text is said, without a time."""

    name: str
    # espeak-ng's mnemonic without its stress mark
    ipa: str
    # the same in the IPA, its stress mark before it
    stress: int
    # 0 none, 1 secondary, 2 primary


def pronounce(text: str, *, voice: str = "en-us") -> tuple[tuple[SpokenSound, ...], ...]:
    """How espeak-ng would say a text: its words, each as its phonemes; pauses are left out.

    Raises:
        ImportError: espeakng-loader is not installed.
        ValueError: an unknown voice.
    """
    names, sounds = (
        _engine().transcribe(text, voice, _MODE_SEPARATED | mode) for mode in (0, _MODE_IPA)
    )
    words = []
    for word_names, word_sounds in zip(names.split(), sounds.split(), strict=True):
        pairs = zip(word_names.split("|"), word_sounds.split("|"), strict=True)
        word = tuple(
            SpokenSound(name.lstrip("',").removeprefix("_!"), ipa, _STRESS.get(name[:1], 0))
            for name, ipa in pairs
            if ipa
        )
        if word:
            words.append(word)
    return tuple(words)
