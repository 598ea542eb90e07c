"""Fig. 9 with a subject of which only the attributes are real, and a landmarker that is told."""

import numpy as np
import pytest

from facial_jax.attributes import Attributes
from facial_jax.metrics import seen_blinks
from facial_jax.metrics.seen_blinks import count_seen_blinks, speech_clips, text_table
from facial_jax.subject import load_subject

RATE = 16000


def test_speech_is_cut_into_pieces_of_four_seconds(tmp_path):
    import av

    path = tmp_path / "speech.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=RATE, layout="mono")
        samples = np.arange(9 * RATE, dtype=np.int16)[None]
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate = RATE
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    pieces = list(speech_clips([path, path], 3))
    assert [len(x) for x in pieces] == [4 * RATE] * 3
    np.testing.assert_allclose(pieces[1][:2] * 32768, samples[0, 4 * RATE : 4 * RATE + 2])
    np.testing.assert_array_equal(pieces[0], pieces[2])


def test_only_blinks_that_are_drawn_are_counted(monkeypatch):
    subject = load_subject("demo")
    blink = np.zeros(100, np.float32)
    blink[20:26] = blink[60:66] = 4.0
    asked = Attributes(
        expression=np.zeros((100, 64), np.float32), pose=np.zeros((100, 6), np.float32), blink=blink
    )
    monkeypatch.setattr(seen_blinks, "attributes_from_speech", lambda *_, **__: asked)
    # A picture's value is its blink: what is drawn can be read.
    monkeypatch.setattr(
        seen_blinks,
        "generate",
        lambda _, x: (
            np.asarray(x.blink * 10, np.uint8)[:, None, None, None]
            * np.ones((1, 1, 1, 3), np.uint8)
        ),
    )

    def detect(clips, fps):
        assert fps == float(subject.fps)
        return [clip[:, 0, 0, 0].astype(np.float32) / 10 for clip in clips]

    speech = [np.zeros(4 * RATE, np.float32)] * 3
    counts = count_seen_blinks(subject, speech, real=np.tile(blink, 2), detect=detect)
    expected = {"asked for": [2, 2, 2], "with map": [2, 2, 2], "map set to zero": [0, 0, 0]}
    assert {k: v.tolist() for k, v in counts.items()} == expected | {"real": [2, 2]}
    lines = text_table(counts).splitlines()
    assert lines[0].endswith("distance from real")
    assert [line.split()[-1] for line in lines[1:]] == ["0.00", "0.00", "2.00", "0.00"]
    with pytest.raises(ValueError, match="4 s at least"):
        count_seen_blinks(subject, [], detect=detect)
