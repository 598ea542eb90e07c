"""How programs are compiled, and kept, while the tests run."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import jax

FOLDER, SECONDS = "JAX_COMPILATION_CACHE_DIR", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"
# On CPUs, compiling takes far longer than running what tests run. Without optimization, by XLA's
# older emitters and as one module, it takes a fifth of the time.
QUICK = {
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
    "xla_cpu_use_fusion_emitters": False,
    "xla_cpu_parallel_codegen_split_count": 1,
}
# The same for all programs of a process, in its variable XLA_FLAGS.
QUICK_FLAGS = " ".join(f"--{name}={str(value).lower()}" for name, value in QUICK.items())


def compile_quickly() -> None:
    """Compiles all programs so, here and in the processes that tests start.

    Flags that are set already are left, the empty ones as well: `XLA_FLAGS= python -m pytest` tests
    with the programs that users have. On machines with an NVIDIA GPU nothing is set: the flags
    would be for its programs, too. XLA reads the variable when a device is first used.
    """
    if not Path("/dev/nvidiactl").exists():
        os.environ.setdefault("XLA_FLAGS", QUICK_FLAGS)


def keep_programs() -> None:
    """What was compiled once is not compiled again.

    Not by another test, by the other worker or by a process that a test starts: all have the folder
    from the environment. A folder that is there already, such as one kept between runs, is used.
    Processes with another number of devices do without: JAX does not tell their programs apart.
    """
    if FOLDER not in os.environ:
        os.environ[FOLDER] = tempfile.mkdtemp(prefix="facial_jax_programs_")
        os.environ[SECONDS] = "0.05"
        atexit.register(shutil.rmtree, os.environ[FOLDER], ignore_errors=True)
    # JAX reads the variables when it is imported.
    jax.config.update("jax_compilation_cache_dir", os.environ[FOLDER])
    if SECONDS in os.environ:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", float(os.environ[SECONDS]))


def without_programs() -> dict[str, str]:
    """The environment of a process that begins with nothing compiled."""
    return {name: value for name, value in os.environ.items() if name not in (FOLDER, SECONDS)}
