"""Which clip trains, which validates, which tests: 5-1-4 by clip (FACIAL, Sec. 5.1)."""

import hashlib

TRAIN, VALIDATION, TEST = "train", "validation", "test"
SPLITS = (TRAIN, VALIDATION, TEST)
_ROUND = (TRAIN, TEST, VALIDATION, TRAIN, TEST, TRAIN, TEST, TRAIN, TEST, TRAIN)


def split_of_index(index: int) -> str:
    """The split of a speaker's clip number `index`: of every ten, 5, 1 and 4."""
    return _ROUND[index % len(_ROUND)]


def split_of_name(name: str) -> str:
    """The split of a clip by its name: about 5-1-4, and the same whatever other clips there are."""
    digest = hashlib.sha256(name.encode("utf-8")).digest()
    return _ROUND[int.from_bytes(digest[:8], "big") % len(_ROUND)]
