"""Compiled programs are kept while the tests run."""

import atexit
import os
import shutil
import tempfile

import jax

FOLDER, SECONDS = "JAX_COMPILATION_CACHE_DIR", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"


def keep_programs() -> None:
    """What was compiled once is not compiled again.

    Not by another test, by the other worker or by a process that a test starts: all have the folder
    from the environment. A folder that is there already, such as one kept between runs, is used.
    Processes with another number of devices do without: JAX does not tell their programs apart.
    """
    if FOLDER not in os.environ:
        os.environ[FOLDER] = tempfile.mkdtemp(prefix="facial_jax_programs_")
        os.environ[SECONDS] = "0.5"
        atexit.register(shutil.rmtree, os.environ[FOLDER], ignore_errors=True)
    # JAX reads the variables when it is imported.
    jax.config.update("jax_compilation_cache_dir", os.environ[FOLDER])
    if SECONDS in os.environ:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", float(os.environ[SECONDS]))


def without_programs() -> dict[str, str]:
    """The environment of a process that begins with nothing compiled."""
    return {name: value for name, value in os.environ.items() if name not in (FOLDER, SECONDS)}
