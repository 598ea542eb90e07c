"""From a phone in the IPA to the groups of the acoustic model `phonemes`."""

import functools
import unicodedata

from facial_jax.audio.lip_groups import CONSONANTS, LIP_GROUPS, VOWELS

# What synthesizers write and the recogniser has no token for, or means something else by: ɐ of
# espeak-ng is an unstressed vowel in English and German.
_ALSO = {"ᵻ": "ɪ", "əʊ": "oʊ", "ɬ": "l", "ɭ": "l", "ɳ": "t", "ɶ": "æ", "ʍ": "w", "ɐ": "ʌ"}
_IGNORED = frozenset("ˈˌːˑʰʲʷˠˤ‿͡ˀ˞̩̯")


def groups_of_ipa(ipa: str) -> tuple[int, ...]:
    """Columns of `LIP_GROUPS` for what a phone's name says, one after the other.

    "ɑːɹ" is two; a diphthong that the table knows is one. Stress, length and what does not change
    the lips is left out, and so are signs that are in no group: nothing is left of "|".
    """
    plain, groups = _plain(ipa), []
    table = _table()
    while plain:
        length = next((n for n in (2, 1) if plain[:n] in table), None)
        if length is not None:
            groups.append(table[plain[:length]])
        plain = plain[length or 1 :]
    return tuple(groups)


def _plain(ipa: str) -> str:
    decomposed = unicodedata.normalize("NFD", ipa)
    return "".join(c for c in decomposed if c not in _IGNORED and not unicodedata.combining(c))


@functools.cache
def _table() -> dict[str, int]:
    table: dict[str, int] = {}
    for column, members in enumerate((CONSONANTS | VOWELS).values()):
        for token in members.split():
            table.setdefault(_plain(token), column)
    for ipa, group in _ALSO.items():
        table[_plain(ipa)] = LIP_GROUPS.index(group)
    return table
