import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

import facial_jax.cache
from tests.programs import QUICK_FLAGS, without_programs

TRAINING = """
import jax
from jax import monitoring
from facial_jax.cache import enable_compilation_cache
from facial_jax.training.batches import StepBatch
from facial_jax.training.parallel import data_mesh, replicate, split_batch
from facial_jax.training.step import compiled_step
from tests.models.test_facial_gan_step import StepTask, begin, make_batch
import optax

enable_compilation_cache()
assert "xla_gpu_per_fusion_autotune_cache_dir" in jax.config.jax_persistent_cache_enable_xla_caches
events = []
monitoring.register_event_listener(lambda event, **_: events.append(event))
task, batch, mesh = StepTask(optax.adam(1e-2)), make_batch(), data_mesh()
state, step = replicate(begin(task, batch), mesh), compiled_step(task, mesh)
_, losses = step(state, StepBatch(0, split_batch(batch, mesh)))
print(sum(event.endswith("cache_hits") for event in events), float(losses["generator"]))
"""


def test_a_training_that_starts_again_compiles_nothing_that_takes_long(tmp_path):
    def run():
        done = subprocess.run(
            [sys.executable, "-c", TRAINING],
            env=without_programs()
            | {
                "FACIAL_JAX_CACHE": str(tmp_path),
                "PYTHONPATH": os.pathsep.join(sys.path),
                "XLA_FLAGS": QUICK_FLAGS,  # how fast the programs are is not what is tested
            },
            cwd=Path(__file__).resolve().parents[1],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        hits, loss = done.stdout.split()
        return (
            int(hits),
            loss,
            {p.name for p in (tmp_path / "xla").glob("*train_step*-cache")},
        )

    hits, loss, kept = run()
    assert hits == 0
    assert len(kept) == 1
    hits_again, loss_again, kept_again = run()
    assert hits_again > 0
    assert loss_again == loss
    assert kept_again == kept


@pytest.mark.parametrize("script", ["train_rendering_to_video", "general_train", "train_acoustic"])
def test_trainings_keep_their_compiled_programs(script, monkeypatch):
    called = []
    monkeypatch.setattr(facial_jax.cache, "enable_compilation_cache", lambda: called.append(True))
    monkeypatch.setattr(sys, "argv", [script, "--help"])
    with pytest.raises(SystemExit):
        runpy.run_module(f"experiments.{script}", run_name="__main__")
    assert called == [True]
