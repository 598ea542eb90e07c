"""Whether computations run on CPUs or on an accelerator: several are written differently there."""

import jax


def on_cpu() -> bool:
    """True if JAX's default device is a CPU; asked while tracing, not at import."""
    return jax.default_backend() == "cpu"


def on_gpu() -> bool:
    """True if JAX's default device is a GPU; False on CPUs and TPUs."""
    return jax.default_backend() == "gpu"
