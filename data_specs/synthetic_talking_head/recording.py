"""Speech as it is heard in recordings: rooms, microphones, noise, music, codecs and levels.

Nothing here changes when something is said: the direct sound comes at once, and the codecs' delays
are taken out.
"""

import io

import av
import numpy as np
from scipy.signal import fftconvolve, resample_poly

CLEAN_SHARE = 0.125
"""Recordings that are left as they are: their pauses are digital silence."""
SPEED_OF_SOUND = 343.0
NOISE_DB = (5.0, 30.0)
"""How far the noise is below the speech, if there is noise."""
CODECS = ("mu-law", "aac", "libmp3lame", "libopus")
_BIT_RATES = {"aac": (24000, 96000), "libmp3lame": (32000, 96000), "libopus": (12000, 48000)}
_CONTAINERS = {"aac": "adts", "libmp3lame": "mp3", "libopus": "ogg"}
_QUIETEST = 0.03
"""Silence is taken to be as loud as this, to say how loud a noise is."""


def recorded(samples: np.ndarray, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Speech as some microphone in some room heard it, and some codec kept it; (n,) float32."""
    if rng.random() < CLEAN_SHARE:
        return np.asarray(samples, np.float32)
    sound = np.asarray(samples, np.float64)
    if rng.random() < 0.6:
        sound = fftconvolve(sound, room_response(sample_rate, rng))[: len(samples)]
    ratio_db = rng.uniform(*NOISE_DB) if rng.random() < 0.6 else rng.uniform(30.0, 60.0)
    sound = with_noise(sound, coloured_noise(len(sound), sample_rate, rng), ratio_db)
    sound = microphone(sound, sample_rate, rng)
    sound = at_level(sound, rng.uniform(-34.0, -12.0))
    if rng.random() < 0.4:
        sound = through_codec(sound, sample_rate, str(rng.choice(CODECS)), rng)
    return sound.astype(np.float32)


def room_response(sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """The impulse response of a made-up room, the direct sound first, (m,) float64.

    The early reflections are those of a box (image sources; Allen and Berkley, 1979), the late ones
    noise that fades as the box's reverberation time says (Sabine).
    """
    box_m = rng.uniform((2.5, 2.5, 2.2), (9.0, 7.0, 4.0))
    absorption = float(np.exp(rng.uniform(np.log(0.15), np.log(0.7))))
    mouth, ear = rng.uniform(0.2, 0.8, 3) * box_m, rng.uniform(0.2, 0.8, 3) * box_m
    # Most people speak near to what records them.
    ear = mouth + (ear - mouth) * rng.uniform(0.1, 1.0)
    volume = box_m.prod()
    surface = 2 * (box_m[0] * box_m[1] + box_m[0] * box_m[2] + box_m[1] * box_m[2])
    decay_s = float(np.clip(0.161 * volume / (absorption * surface), 0.1, 1.2))
    order = np.arange(-2, 3)
    images = np.stack(np.meshgrid(order, order, order, indexing="ij"), -1).reshape(-1, 3)
    odd = images % 2 == 1
    places = (images + odd) * box_m + np.where(odd, -mouth, mouth)
    distances = np.linalg.norm(places - ear, axis=1)
    reflections = np.abs(images).sum(axis=1)
    direct_m = max(float(np.linalg.norm(mouth - ear)), 0.2)
    delays = (distances - direct_m) / SPEED_OF_SOUND
    gains = np.sqrt(1 - absorption) ** reflections * direct_m / np.maximum(distances, 0.2)
    count = round(min(decay_s, 0.8) * sample_rate)
    response = np.zeros(count)
    index = np.round(np.maximum(delays, 0) * sample_rate).astype(np.int64)
    np.add.at(response, index[index < count], gains[index < count])
    # The late part goes on where the images that were counted become sparse.
    lag_s = np.arange(count) / sample_rate
    begin_s = 2 * box_m.min() / SPEED_OF_SOUND
    late = rng.standard_normal(count) * np.exp(-6.9 * lag_s / decay_s) * (lag_s > begin_s)
    # The reverberant energy over the direct sound's, of a diffuse field.
    direct_to_late = absorption * surface / (16 * np.pi * direct_m**2 * (1 - absorption))
    late *= np.sqrt(1 / (direct_to_late * max((late**2).sum(), 1e-12)))
    return response + late


def microphone(samples: np.ndarray, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """A colour over the octaves, the ends of the microphone's range, and some saturation."""
    count = len(samples)
    size = 1 << max(count + sample_rate // 4, 2).bit_length()
    frequencies = np.fft.rfftfreq(size, 1 / sample_rate)
    octaves = np.log2(np.maximum(frequencies, 30.0) / 30.0)
    knots = np.linspace(0.0, 9.0, 7)
    decibels = np.interp(octaves, knots, rng.normal(0.0, 4.0, len(knots)))
    high, low = rng.uniform(3400.0, 11000.0), rng.uniform(20.0, 250.0)
    response = 10 ** (decibels / 20) / np.sqrt(1 + (frequencies / high) ** 8)
    response /= np.sqrt(1 + (low / np.maximum(frequencies, 1.0)) ** 4)
    sound = np.fft.irfft(np.fft.rfft(samples, size) * response, size)[:count]
    loudest = np.abs(sound).max() if count else 0.0
    if loudest > 0 and rng.random() < 0.2:
        limit = loudest * rng.uniform(0.3, 1.0)
        sound = limit * np.tanh(sound / limit)
    return sound


def coloured_noise(count: int, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Noise between white and brown, now and then a hum or a slow change of its level; (n,)."""
    size = max(count, 16)
    frequencies = np.fft.rfftfreq(size, 1 / sample_rate)
    spectrum = np.fft.rfft(rng.standard_normal(size))
    spectrum *= np.maximum(frequencies, 20.0) ** -rng.uniform(0.0, 1.0)
    noise = np.fft.irfft(spectrum, size)[:count]
    noise /= max(float(noise.std()), 1e-12)
    if rng.random() < 0.25:
        t = np.arange(count) / sample_rate
        hum = sum(np.sin(2 * np.pi * rng.choice((50, 60)) * k * t) / k for k in (1, 2, 3, 5))
        noise += rng.uniform(0.2, 1.0) * hum
    if rng.random() < 0.4:
        knots = max(2, round(count / sample_rate))
        places = np.linspace(0, knots - 1, count)
        noise *= np.exp(np.interp(places, np.arange(knots), rng.normal(0.0, 0.6, knots)))
    return noise


def with_noise(samples: np.ndarray, noise: np.ndarray, ratio_db: float) -> np.ndarray:
    """The noise, `ratio_db` below the mean power of the samples; silence counts as faint sound."""
    level = max(_rms(samples), _QUIETEST) * 10 ** (-ratio_db / 20)
    return samples + noise * (level / max(_rms(noise), 1e-12))


def at_level(samples: np.ndarray, level_db: float) -> np.ndarray:
    """The samples at a mean power of `level_db` (full scale is 0), never beyond the scale."""
    loudness = max(_rms(samples), 1e-6)
    gain = 10 ** (level_db / 20) / loudness
    peak = float(np.abs(samples).max()) if len(samples) else 0.0
    return samples * min(gain, 0.99 / max(peak, 1e-9))


def through_codec(
    samples: np.ndarray, sample_rate: int, codec: str, rng: np.random.Generator
) -> np.ndarray:
    """As it comes back from a codec of `CODECS` at some bit rate, not a sample later.

    mu-law is the telephone's: 8 kHz, 8 bits. The others are FFmpeg's, through PyAV.

    Raises:
        ValueError: an unknown codec.
    """
    if codec not in CODECS:
        raise ValueError(f"codec: expected one of {CODECS}, got {codec!r}")
    if codec == "mu-law":
        return _telephone(samples, sample_rate)
    low, high = _BIT_RATES[codec]
    bit_rate = int(np.exp(rng.uniform(np.log(low), np.log(high))))
    return _without_delay(samples, _encode_decode(samples, sample_rate, codec, bit_rate))


def _telephone(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    narrow = resample_poly(samples, 8000, sample_rate)
    compressed = np.sign(narrow) * np.log1p(255 * np.minimum(np.abs(narrow), 1)) / np.log(256)
    compressed = np.round(compressed * 127) / 127
    narrow = np.sign(compressed) * np.expm1(np.abs(compressed) * np.log(256)) / 255
    return resample_poly(narrow, sample_rate, 8000)[: len(samples)]


def _encode_decode(samples, sample_rate: int, codec: str, bit_rate: int) -> np.ndarray:
    """Through the codec and back, at the same rate; it may be later and longer."""
    coded_rate = 48000 if codec == "libopus" else 24000
    file = io.BytesIO()
    pcm = np.round(np.clip(samples, -1, 1) * 32767).astype(np.int16)
    with av.open(file, "w", format=_CONTAINERS[codec]) as container:
        stream = container.add_stream(codec, rate=coded_rate, layout="mono")
        stream.bit_rate = bit_rate
        frame = av.AudioFrame.from_ndarray(pcm[None], format="s16", layout="mono")
        frame.sample_rate = sample_rate
        # The encoder wants frames of its own size and format.
        resampler = av.AudioResampler(
            format=stream.codec_context.format, layout="mono", rate=coded_rate
        )
        fifo = av.AudioFifo()
        for resampled in (*resampler.resample(frame), *resampler.resample(None)):
            resampled.pts = None
            fifo.write(resampled)
        size = stream.codec_context.frame_size or 1024
        pieces = fifo.read_many(size) + [x for x in [fifo.read(0, partial=True)] if x]
        written = 0
        for piece in pieces:
            piece.pts, written = written, written + piece.samples
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    file.seek(0)
    with av.open(file) as container:
        resampler = av.AudioResampler(format="fltp", layout="mono", rate=sample_rate)
        decoded = []
        for frame in container.decode(audio=0):
            frame.pts = None
            decoded += [x.to_ndarray()[0] for x in resampler.resample(frame)]
        decoded += [x.to_ndarray()[0] for x in resampler.resample(None)]
    return np.concatenate(decoded) if decoded else np.zeros(0)


def _without_delay(samples: np.ndarray, decoded: np.ndarray) -> np.ndarray:
    """What was decoded, moved to where it fits the samples best."""
    count, longest = len(samples), 12000
    decoded = np.pad(decoded, (0, max(0, count + longest - len(decoded))))
    size = 1 << (count + 2 * longest).bit_length()
    product = np.fft.rfft(decoded[: count + longest], size) * np.fft.rfft(samples, size).conj()
    lags = np.fft.irfft(product, size)[:longest]
    delay = int(np.argmax(lags))
    return decoded[delay : delay + count]


def music(seconds: float, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Made-up music: chords, a bass, a tune and drums of some tempo, key and colour; (n,).

    With it a mouth learns to stay shut when nobody speaks.
    """
    count = round(seconds * sample_rate)
    x = np.zeros(count + 4 * sample_rate)
    beat_s, key = rng.uniform(0.25, 0.6), int(rng.integers(45, 60))
    scale = np.array(((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10))[int(rng.integers(2))])
    colours = {part: rng.uniform(0.5, 2.0) for part in ("chord", "bass", "tune")}
    levels = {part: rng.uniform(0.0, 0.15) for part in ("chord", "bass", "tune", "drum")}
    vibrato_hz, depth = rng.uniform(4.0, 7.0), rng.uniform(0.0, 0.006)

    def play(part: str, start_s: float, degree: int, length_s: float):
        t = np.arange(round(length_s * sample_rate)) / sample_rate
        octave, step = divmod(degree, 7)
        frequency = 440 * 2 ** ((key + scale[step] + 12 * octave - 69) / 12)
        phase = frequency * (t + depth / vibrato_hz * np.sin(2 * np.pi * vibrato_hz * t))
        harmonics = range(1, max(2, min(12, int(0.45 * sample_rate / frequency))))
        wave = sum(np.sin(2 * np.pi * k * phase) / k ** colours[part] for k in harmonics)
        fade = np.minimum(t / 0.015, 1) * np.exp(-rng.uniform(0.5, 4.0) * t / length_s)
        begin = round(start_s * sample_rate)
        x[begin : begin + len(t)] += levels[part] * wave * fade

    root = 0
    for beat in range(int(seconds / beat_s) + 1):
        start_s = beat * beat_s
        if beat % 8 == 0:
            root = int(rng.integers(7))
            for third in (0, 2, 4):
                play("chord", start_s, root + third, min(8 * beat_s, 3.0))
        if beat % 2 == 0:
            play("bass", start_s, root - 7, 2 * beat_s)
        if rng.random() < 0.7:
            play("tune", start_s, 7 + root + int(rng.integers(-3, 5)), beat_s)
        length = round(rng.uniform(0.03, 0.12) * sample_rate)
        drum = rng.standard_normal(length) * np.exp(-np.arange(length) * 5 / length)
        begin = round(start_s * sample_rate)
        x[begin : begin + length] += 2 * levels["drum"] * drum
    return x[:count] / max(float(np.abs(x).max()), 1e-6)


def _rms(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))) if len(samples) else 0.0
