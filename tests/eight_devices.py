"""Scripts that run on eight devices: XLA makes them of one CPU, if told so before it starts."""

import os
import subprocess
import sys
from pathlib import Path


def run_on_eight_devices(script: str) -> str:
    """What the script prints; fails where it does. It finds what tests find."""
    flags = (
        "--xla_force_host_platform_device_count=8 --xla_backend_optimization_level=0 "
        "--xla_llvm_disable_expensive_passes=true"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ
        | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu", "PYTHONPATH": os.pathsep.join(sys.path)},
        cwd=Path(__file__).resolve().parents[1],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout
