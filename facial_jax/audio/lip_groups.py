"""Which phonemes the acoustic model `phonemes` tells apart: the table of its columns.

English phonemes that look the same on lips are one group; those of other languages, as far as the
recogniser knows them, go with the nearest.
"""

import numpy as np
from jaxtyping import Float

CONSONANTS = {
    "p": "p pʰ p͈ b ɓ m ʙ β ɸ",  # lips closed
    "f": "f v ɱ ʋ",  # lower lip at the teeth
    "θ": "θ ð",
    "t": "t tʰ t͈ d ɗ n ñ ʈ ɖ ɾ ɲ",
    "l": "l ɫ ɮ ʎ",
    "s": "s s͈ z ẑ",
    "ʃ": "ʃ ʒ t͡ʃ d͡ʒ ʂ ʐ ɕ ʑ t͡ɕ t͡ɕʰ t͡ɕ͈",  # lips forward
    "k": "k kʰ k͈ g ɡ ŋ c ɟ ç ʝ x ɣ ɰ ɴ χ ʁ ʀ h ɦ ħ ʔ",  # lips as their neighbours'
    "ɹ": "ɹ ɻ r ɽ",
    "w": "w ɥ wa we wi wʌ",  # lips rounded
    "j": "j",
}
"""Groups of consonants: what each is called, and the recogniser's tokens in it."""
VOWELS = {
    "i": "i ĩ ì ǐ",
    "ɪ": "ɪ ɪə ɨ ɯ ɯi",
    "ɛ": "ɛ e ẽ ɘ eə je",
    "eɪ": "eɪ",
    "æ": "æ",
    "ɑ": "ɑ a ä à ã ɐ ja",
    "ʌ": "ʌ ɤ jʌ",
    "ə": "ə ᵊ",
    "ɝ": "ɝ ɚ ɜ",
    "ɔ": "ɔ ɒ å o õ jo",
    "oʊ": "oʊ",
    "u": "u ũ ʉ y ju",
    "ʊ": "ʊ ʏ ø œ ɵ",
    "aɪ": "aɪ",
    "aʊ": "aʊ",
    "ɔɪ": "ɔɪ",
}
"""Groups of vowels: what each is called, and the recogniser's tokens in it."""
LIP_GROUPS = tuple(CONSONANTS | VOWELS)
"""The groups in the order of columns."""
IS_VOWEL = np.array([group in VOWELS for group in LIP_GROUPS])


def group_matrix(tokens: tuple[str, ...]) -> Float[np.ndarray, "tokens groups"]:
    """1 if a token is in a group: probabilities of tokens @ this = those of groups.

    Tokens that are no phonemes (the blank, word boundaries, lengths and tones) are in none.

    Raises ValueError if the recogniser has not a token of the table.
    """
    matrix = np.zeros((len(tokens), len(LIP_GROUPS)), np.float32)
    for column, members in enumerate((CONSONANTS | VOWELS).values()):
        for token in members.split():
            if token not in tokens:
                raise ValueError(f"tokens: expected {token!r} among the recogniser's, got {tokens}")
            matrix[tokens.index(token), column] = 1.0
    return matrix
