"""The two networks of a training, and where they begin."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
from jaxtyping import PRNGKeyArray

from facial_jax.audio.features import context_windows
from facial_jax.models.facial_gan.batch import FacialBatch
from facial_jax.models.facial_gan.generation import load_facial_gan
from facial_jax.models.facial_gan.network import (
    SMALL_DISCRIMINATOR,
    FacialDiscriminator,
    FacialGenerator,
)
from facial_jax.models.layers.parameters import load_variables, module_config, module_from_config
from facial_jax.models.layers.temporal import with_positions
from facial_jax.provenance import Provenance, prefixed, tree_hash

DISCRIMINATOR_FILE = "discriminator.safetensors"


@dataclass(frozen=True)
class FacialGanNetworks:
    """Both networks, and trained variables to begin from, if any."""

    generator: FacialGenerator
    discriminator: FacialDiscriminator
    generator_variables: Any = None
    """None begins anew, as does the discriminator."""
    discriminator_variables: Any = None

    def init(self, key: PRNGKeyArray, row: FacialBatch) -> tuple[Any, Any]:
        """The variables of generator and discriminator at step 0, for rows like this one."""
        generator_key, discriminator_key, position_key = jax.random.split(key, 3)
        g, d = self.generator_variables, self.discriminator_variables
        if g is None:
            windows = context_windows(row.rows)
            g = jax.jit(self.generator.init)(generator_key, windows, row.initial_state)
            params = g["params"]
            if "temporal" in params:
                temporal = with_positions(position_key, params["temporal"])
                g = {**g, "params": {**params, "temporal": temporal}}
        if d is None:
            d = jax.jit(self.discriminator.init)(discriminator_key, row.attributes)
        return g, d

    def begun_from(self, path: Path) -> "FacialGanNetworks":
        """The same networks, beginning from trained variables: see `load_networks`."""
        start = load_networks(path)
        return replace(
            self,
            generator_variables=start.generator_variables,
            discriminator_variables=start.discriminator_variables,
        )

    @property
    def provenance(self) -> Provenance:
        """Their sizes, and hashes of what they begin from."""
        starts = {
            "generator.start": self.generator_variables,
            "discriminator.start": self.discriminator_variables,
        }
        return {
            **prefixed("generator", module_config(self.generator)),
            **prefixed("discriminator", module_config(self.discriminator)),
            **{name: None if v is None else tree_hash(v) for name, v in starts.items()},
        }


def load_networks(path: Path) -> FacialGanNetworks:
    """A general FACIAL-GAN's generator, and its discriminator if that lies beside it."""
    model = load_facial_gan(path)
    beside = path.with_name(DISCRIMINATOR_FILE)
    if beside.is_file():
        variables, description = load_variables(beside)
        discriminator = module_from_config(FacialDiscriminator, description)
    else:
        variables = None
        small = model.generator != type(model.generator)()
        discriminator = FacialDiscriminator(**(SMALL_DISCRIMINATOR if small else {}))
    return FacialGanNetworks(model.generator, discriminator, model.variables, variables)
