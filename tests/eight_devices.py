"""Scripts that run on eight devices: XLA makes them of one CPU, if told so before it starts."""

import os
import subprocess
import sys
from pathlib import Path

from tests.programs import QUICK_FLAGS, without_programs

ROOT = Path(__file__).resolve().parents[1]
FLAGS = f"--xla_force_host_platform_device_count=8 {QUICK_FLAGS}"


def eight_devices() -> dict[str, str]:
    """The environment of a process that has eight devices and finds what tests find."""
    paths = os.pathsep.join(sys.path)
    own = {"XLA_FLAGS": FLAGS, "JAX_PLATFORMS": "cpu", "PYTHONPATH": paths}
    return without_programs() | own


def run_on_eight_devices(script: str) -> str:
    """What the script prints; fails where it does."""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=eight_devices(),
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout
