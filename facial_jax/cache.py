"""The cache directory, and JAX's persistent compilation cache in it."""

import os
from pathlib import Path

import jax


def cache_directory() -> Path:
    """Where downloads and compiled programs are kept: `FACIAL_JAX_CACHE`, or the user's cache."""
    chosen = os.environ.get("FACIAL_JAX_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "facial_jax"


def enable_compilation_cache() -> None:
    """Keeps compiled programs on disk, so that the second run of a program starts within seconds.

    On GPUs JAX keeps there, too, which of its kernels XLA found to be the fastest: a program that
    has changed does not try again those that it had before.

    Leaves JAX's settings alone if the user has chosen a cache. A directory that cannot be
    written only means that nothing is kept.
    """
    if jax.config.jax_compilation_cache_dir is None:
        jax.config.update("jax_compilation_cache_dir", str(cache_directory() / "xla"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
