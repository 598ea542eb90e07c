"""The names of speech sounds: espeak-ng's mnemonics and CMU's symbols.

The animator reads mnemonics; recordings with known phones have CMU's symbols, as the lips' measures
do.
"""

from facial_jax.metrics.lips import Phone
from facial_jax.speech.espeak import Phoneme, SpokenSound

PAUSE = "_"

_MNEMONIC_OF_CMU = {
    **{"AA": "A:", "AE": "a", "AH": "V", "AO": "O:", "AW": "aU", "AX": "@", "AY": "aI"},
    **{"B": "b", "CH": "tS", "D": "d", "DH": "D", "EH": "E", "ER": "3:", "EY": "eI", "F": "f"},
    **{"G": "g", "HH": "h", "IH": "I", "IY": "i:", "JH": "dZ", "K": "k", "L": "l", "M": "m"},
    **{"N": "n", "NG": "N", "OW": "oU", "OY": "OI", "P": "p", "R": "r", "S": "s", "SH": "S"},
    **{"T": "t", "TH": "T", "UH": "U", "UW": "u:", "V": "v", "W": "w", "Y": "j", "Z": "z"},
    "ZH": "Z",
}

# What the lips' measures tell apart, by the beginning of a name, the longest first. Only sounds
# that somebody sees are named; the others stay "".
_CMU_OF_MNEMONIC = (
    *(("aU", "AW"), ("aI", "AY"), ("OI", "OY"), ("oI", "OY"), ("oU", "OW"), ("@U", "OW")),
    *(("A", "AA"), ("a", "AE"), ("0", "AO"), ("O", "AO"), ("V", "AH"), ("u", "UW")),
    *(("p", "P"), ("b", "B"), ("m", "M"), ("f", "F"), ("v", "V"), ("w", "W")),
)


def phoneme_from_cmu(phone: Phone) -> Phoneme:
    """What the animator reads; a name that CMU's dictionary does not have becomes a pause.

    A digit of stress at the end of a vowel's name is understood.
    """
    name, stress = phone.name.upper(), 0
    if name[-1:].isdigit():
        # CMU's 1 is the primary and 2 the secondary stress, the other way round than here.
        name, stress = name[:-1], {"1": 2, "2": 1}.get(name[-1], 0)
    return Phoneme(_MNEMONIC_OF_CMU.get(name, PAUSE), phone.start_s, phone.end_s, stress)


# espeak-ng's mnemonics in English, as CMU's symbols. An r that is heard after a vowel's name is
# added where the IPA has it.
_CMU_PHONES = {
    **{"I": "IH", "I2": "IH", "I#": "IH", "i": "IY", "i:": "IY", "E": "EH", "E2": "EH"},
    **{"a": "AE", "aa": "AE", "a2": "AE", "0": "AA", "A:": "AA", "A@": "AA", "V": "AH"},
    **{"@": "AX", "@2": "AX", "@5": "AX", "@-": "AX", "a#": "AX", "3": "ER", "3:": "ER"},
    **{"@L": "AX L", "U": "UH", "U@": "UH", "u:": "UW", "u": "UW", "O:": "AO", "O@": "AO"},
    **{"o@": "AO", "O2": "AO", "O": "AO", "OI": "OY", "oU": "OW", "aI": "AY", "aU": "AW"},
    **{"eI": "EY", "aI@": "AY AX", "aI3": "AY ER", "i@": "IY AX", "i@3": "IH", "e@": "EH"},
    **{"p": "P", "b": "B", "t": "T", "t2": "T", "t#": "D", "?": "T", "d": "D", "k": "K", "g": "G"},
    **{"m": "M", "n": "N", "n-": "AX N", "N": "NG", "f": "F", "v": "V", "T": "TH", "D": "DH"},
    **{"s": "S", "z": "Z", "S": "SH", "Z": "ZH", "h": "HH", "tS": "CH", "dZ": "JH", "l": "L"},
    **{"r": "R", "r-": "R", "w": "W", "j": "Y", "x": "K"},
}
_STRESS_DIGIT = {0: "", 1: "2", 2: "1"}
_VOWEL_LETTERS = "AEIOU"


def cmu_phones(sound: SpokenSound) -> list[str]:
    """CMU's symbols of an English sound, "AX" for schwa, a stressed vowel with its digit.

    Raises:
        ValueError: espeak-ng's English has no such sound.
    """
    if sound.name not in _CMU_PHONES:
        raise ValueError(f"sound: CMU's symbols have nothing for {sound.name!r} ({sound.ipa})")
    phones = _CMU_PHONES[sound.name].split()
    if sound.ipa.endswith("ɹ") and phones != ["R"]:
        phones.append("R")
    if phones[0][0] in _VOWEL_LETTERS:
        phones[0] += _STRESS_DIGIT[sound.stress]
    return phones


def cmu_from_mnemonic(name: str) -> str:
    """CMU's symbol of a sound that the lips' measures look at, "" of another."""
    return next((cmu for beginning, cmu in _CMU_OF_MNEMONIC if name.startswith(beginning)), "")
