"""Which clip trains, which validates, which tests, by clip: 5-1-4 of every ten (FACIAL, Sec. 5.1),
or 7-1-2 as head poses are learnt (3D Talking Face with Personalized Pose Dynamics, Sec. 3)."""

import hashlib

TRAIN, VALIDATION, TEST = "train", "validation", "test"
SPLITS = (TRAIN, VALIDATION, TEST)
FACIAL_RATIO, POSE_RATIO = "5-1-4", "7-1-2"
_ROUNDS = {
    FACIAL_RATIO: (TRAIN, TEST, VALIDATION, TRAIN, TEST, TRAIN, TEST, TRAIN, TEST, TRAIN),
    POSE_RATIO: (TRAIN, TEST, VALIDATION, TRAIN, TRAIN, TRAIN, TEST, TRAIN, TRAIN, TRAIN),
}
RATIOS = tuple(_ROUNDS)


def split_of_index(index: int, ratio: str = FACIAL_RATIO) -> str:
    """The split of a speaker's clip number `index`, in one of `RATIOS` of every ten."""
    return _ROUNDS[ratio][index % 10]


def split_of_name(name: str, ratio: str = FACIAL_RATIO) -> str:
    """The split of a clip by its name: about the ratio, and the same whatever other clips there
    are."""
    digest = hashlib.sha256(name.encode("utf-8")).digest()
    return split_of_index(int.from_bytes(digest[:8], "big"), ratio)
