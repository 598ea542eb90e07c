"""The smallest task: a line through points, and its running average."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from facial_jax.models.layers.parameters import save_variables
from facial_jax.training.batches import Batches
from facial_jax.training.task import Losses, Report, Task

LINE = nn.Dense(1)


class ToyTask(Task):
    steps, batch_size, save_every, validate_every = 12, 8, 1, 5
    broken_at = -1

    def init(self, key, batch):
        line = LINE.init(key, batch["x"])
        return {"line": line, "average": jax.tree.map(jnp.copy, line)}

    def optimizers(self):
        return {"line": optax.adam(0.1)}

    def losses(self, variables, batch, *, key, **_):
        x = batch["x"] + 0.01 * jax.random.normal(key, (1, 2))
        error = jnp.square(LINE.apply(variables["line"], x) - batch["y"]).mean()
        return Losses({"line": error}, {"error": error})

    def after_step(self, before, after, step):
        average = jax.tree.map(lambda a, b: 0.9 * a + 0.1 * b, before["average"], after["line"])
        return {**after, "average": average}

    def batches(self, mesh):
        return Batches(self.draw, lambda _, drawn: drawn, None, mesh=mesh, size=8, resident=False)

    def draw(self, step):
        x = np.random.default_rng((self.seed, step)).normal(size=(8, 2)).astype(np.float32)
        bias = np.nan if step == self.broken_at else 3
        return {"x": x, "y": x @ np.float32([[2], [-1]]) + np.float32(bias)}

    def validate(self, variables, step):
        bias = float(variables["line"]["params"]["bias"][0])
        picture = np.zeros((2, 2, 3), np.uint8)
        return Report({"bias": bias}, [f"step {step}: {bias:.2f}"], pictures={"line": picture})

    def export(self, variables, folder):
        save_variables(folder / "line.safetensors", variables["average"], {})
