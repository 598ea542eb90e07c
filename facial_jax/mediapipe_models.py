"""MediaPipe, and its models, which are fetched once into the cache and checked."""

import os
from dataclasses import dataclass
from pathlib import Path

from facial_jax.cache import cache_directory


class ModelMissingError(RuntimeError):
    """A model of MediaPipe's is neither in the cache nor can it be fetched."""


@dataclass(frozen=True)
class Model:
    """A file of MediaPipe's."""

    what: str
    # it is
    name: str
    # of the file in the cache
    url: str
    # where it comes from
    sha256: str
    # of its bytes

    def cached(self) -> Path:
        """Where it is once it was fetched."""
        return cache_directory() / self.name

    def path(self) -> Path:
        """The file: from the cache, or fetched into it once.

        Raises:
            ModelMissingError: it is not in the cache and cannot be fetched, or is another file.
        """
        path = self.cached()
        try:
            import pooch
        except ImportError as error:
            raise _missing("pooch", error) from error
        if path.exists() and pooch.file_hash(str(path)) == self.sha256:
            return path
        try:
            fetched = pooch.retrieve(
                self.url,
                known_hash=f"sha256:{self.sha256}",
                fname=self.name,
                path=path.parent,
                progressbar=False,
            )
        except Exception as error:  # whatever a network can raise
            raise ModelMissingError(
                f"MediaPipe's {self.what} is not in the cache and cannot be fetched ({error}); "
                f"put {self.url} at {path}"
            ) from error
        return Path(fetched)


def mediapipe():
    """MediaPipe and its vision tasks.

    Raises:
        ImportError: it or a library that it needs is missing.
    """
    os.environ.setdefault("GLOG_minloglevel", "2")
    try:
        import mediapipe as mp
        from mediapipe.tasks.python import vision
    except (ImportError, OSError) as error:
        raise _missing("mediapipe", error) from error
    return mp, vision


def on_cpu(model: Model):
    """A task's base options.

    Raises:
        ModelMissingError: see `Model.path`.
    """
    from mediapipe.tasks.python import BaseOptions

    return BaseOptions(model_asset_path=str(model.path()), delegate=BaseOptions.Delegate.CPU)


def _missing(name: str, error: Exception) -> ImportError:
    return ImportError(
        f"tracking needs {name}, which cannot be imported ({error}); install it with "
        "pip install 'facial_jax[tracking]', and the system's libGL and libEGL "
        "(libgl1 and libegl1 on Debian and Ubuntu)"
    )
