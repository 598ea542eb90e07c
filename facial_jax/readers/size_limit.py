"""A limit on what becomes of an untrusted file: a few bytes must not fill the memory."""

TIMES_THE_FILE = 4
AT_LEAST = 1 << 20


class SizeLimit:
    """Counts the bytes of the arrays that are made of a file.

    Arrays may share numbers of the file, repeat one of them, or be stored compressed: all together
    they may take four times what the file does, and a megabyte in any case, unless told otherwise.

    Args:
        file_bytes: size of the file.
        times: the arrays may be this many times as large as the file.
        at_least: and may have this many bytes, however small the file is.
    """

    def __init__(self, file_bytes: int, *, times: int = TIMES_THE_FILE, at_least: int = AT_LEAST):
        self._file_bytes, self._times = file_bytes, times
        self._left = max(times * file_bytes, at_least)

    def count(self, array_bytes: int) -> None:
        """Before an array of this size is made.

        Raises:
            ValueError: it would be too much.
        """
        self._left -= array_bytes
        if self._left < 0:
            raise ValueError(
                f"its arrays would take more than {self._times} times the "
                f"{self._file_bytes} bytes of the file"
            )
