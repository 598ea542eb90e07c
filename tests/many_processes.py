"""Scripts that run in some processes that share eight CPU devices, as on as many hosts."""

import os
import socket
import subprocess
import sys
from pathlib import Path

from tests.programs import QUICK_FLAGS, without_programs

_LOOPBACK = """
import functools
from jax._src.lib import _jax
# Gloo would listen at the host's own address.
_jax.make_gloo_tcp_collectives = functools.partial(
    _jax.make_gloo_tcp_collectives, hostname="127.0.0.1"
)
"""


def run_in_processes(script: str, count: int) -> list[str]:
    """What the script prints in each; fails where one does. It finds what tests find."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    paths = [str(Path(__file__).resolve().parents[1]), *sys.path]
    environment = without_programs() | {
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={8 // count} {QUICK_FLAGS}",
        # XLA cuts a sum into as many pieces as there are threads; by itself it has fewer of them
        # where a process has fewer devices, and rounds otherwise.
        "NPROC": "8",
        "JAX_PLATFORMS": "cpu",
        "JAX_CPU_COLLECTIVES_IMPLEMENTATION": "gloo",
        "JAX_COORDINATOR_ADDRESS": address,
        "JAX_COORDINATOR_BIND_ADDRESS": address,
        "JAX_NUM_PROCESSES": str(count),
        "PYTHONPATH": os.pathsep.join(paths),
    }
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _LOOPBACK + script],
            env=environment | {"JAX_PROCESS_ID": str(number)},
            cwd=Path(__file__).resolve().parents[1],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(count)
    ]
    try:
        ended = [process.communicate(timeout=600) for process in processes]
    finally:
        for process in processes:
            process.kill()
    for process, (_, errors) in zip(processes, ended, strict=True):
        assert process.returncode == 0, errors[-3000:]
    return [output for output, _ in ended]
