"""The training step of every task."""

import functools
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from facial_jax.training.batches import StepBatch
from facial_jax.training.checks import check_same_shapes, check_shape
from facial_jax.training.parallel import AXIS, data_parallel, replicate
from facial_jax.training.state import TrainState
from facial_jax.training.task import Task


def initial_state(task: Task, row: Any) -> TrainState:
    """Networks and optimizers at step 0, for batches of rows like this one."""
    variables = task.init(jax.random.key(task.seed), row)
    optimizers = {
        name: optimizer.init(variables[name]["params"])
        for name, optimizer in task.optimizers().items()
    }
    return TrainState(jnp.zeros((), jnp.int32), variables, optimizers)


def train_step(
    state: TrainState,
    batch: Any,
    fixed: Any,
    *,
    task: Task,
    optimizers: Mapping[str, optax.GradientTransformation],
    phase: Hashable = None,
) -> tuple[TrainState, dict[str, Any]]:
    """One step of one device, inside a mapping over `AXIS`.

    Every network with an objective steps from where all of them are, along its gradient averaged
    over the devices. What several objectives share is computed once: the losses are linearised by
    all parameters together, and each objective is pulled back by itself.

    Args:
        state: networks and optimizers.
        batch: this device's share.
        fixed: `task.fixed`.
        task: what is trained.
        optimizers: `task.optimizers()`.
        phase: `task.phase` of this step.

    Returns:
        The next state, and the metrics; both are the same on every device.

    Raises:
        ValueError: a loss is no scalar, or the variables change in structure, shape or dtype.
    """
    key = jax.random.fold_in(jax.random.key(task.seed), state.step)

    def objectives_of(params):
        variables = _with_params(state.variables, params)
        losses = task.losses(variables, batch, step=state.step, key=key, fixed=fixed, phase=phase)
        for name, value in (*losses.objectives.items(), *losses.metrics.items()):
            check_shape(f"loss {name}", value, ())
        return dict(losses.objectives), (dict(losses.metrics), dict(losses.updates))

    params = {name: state.variables[name]["params"] for name in optimizers}
    objectives, linear, (metrics, updates) = jax.linearize(objectives_of, params, has_aux=True)
    metrics = jax.lax.pmean(metrics, AXIS)
    states, params = dict(state.optimizers), dict(params)
    for name, objective in objectives.items():
        # Unlike a pullback of all objectives with zeros for the others, this has none to add.
        back = jax.linear_transpose(lambda x, name=name: linear(x)[name], params)
        gradient = jax.lax.pmean(back(jnp.ones_like(objective))[0][name], AXIS)
        if task.gradient_norms:
            metrics[f"{name}_gradient"] = optax.tree.norm(gradient)
        with jax.numpy_dtype_promotion("standard"):  # Optax's Adam mixes steps and floats
            change, states[name] = optimizers[name].update(gradient, states[name], params[name])
        params[name] = optax.apply_updates(params[name], change)
    variables = _with_params(state.variables, params)
    for name, collections in updates.items():
        variables[name] = {**variables[name], **collections}
    variables = task.after_step(state.variables, variables, state.step)
    check_same_shapes("variables after a step", variables, state.variables)
    return TrainState(state.step + 1, variables, states), metrics


def _with_params(variables: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
    return {
        name: {**of, "params": params[name]} if name in params else of
        for name, of in variables.items()
    }


def compiled_step(
    task: Task, mesh: Mesh
) -> Callable[[TrainState, StepBatch], tuple[TrainState, dict[str, Any]]]:
    """The task's step on all devices of a mesh; it uses up the state that it is given."""
    optimizers, fixed = task.optimizers(), replicate(task.fixed, mesh)

    @functools.cache
    def of_phase(phase: Hashable) -> Callable:
        step = functools.partial(train_step, task=task, optimizers=optimizers, phase=phase)
        return data_parallel(step, mesh)

    def step(state: TrainState, drawn: StepBatch) -> tuple[TrainState, dict[str, Any]]:
        return of_phase(task.phase(drawn.step))(state, drawn.batch, fixed)

    return step
