"""A limit on what becomes of an untrusted file: a few bytes must not fill the memory."""

TIMES_THE_FILE = 4
AT_LEAST = 1 << 20


class SizeLimit:
    """Counts the bytes of the arrays that are made of a file.

    Arrays may share numbers of the file, or repeat one of them: all together they may take four
    times what the file does, and a megabyte in any case.
    """

    def __init__(self, file_bytes: int):
        """For a file of this size."""
        self._file_bytes = file_bytes
        self._left = max(TIMES_THE_FILE * file_bytes, AT_LEAST)

    def count(self, array_bytes: int) -> None:
        """Before an array of this size is made.

        Raises:
            ValueError: it would be too much.
        """
        self._left -= array_bytes
        if self._left < 0:
            raise ValueError(
                f"its tensors would take more than {TIMES_THE_FILE} times the "
                f"{self._file_bytes} bytes of the file"
            )
