import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from facial_jax.models.facial_gan.network import FacialGenerator
from facial_jax.models.layers.parameters import (
    check_variables,
    load_variables,
    module_config,
    module_from_config,
    save_variables,
)

VARIABLES = {
    "params": {"layer": {"kernel": np.linspace(-2, 2, 12, dtype=np.float32).reshape(3, 4)}},
    "batch_stats": {"layer": {"mean": np.ones(4, np.float32)}},
}
CONFIG = {"class": "Layer", "module": {"features": [1, 2], "name_of": "é"}, "window_half": 1}


def test_what_was_saved_is_loaded(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_variables(path, jax.tree.map(jnp.asarray, VARIABLES), CONFIG)
    variables, config = load_variables(path)
    assert config == CONFIG
    chex.assert_trees_all_equal(variables, VARIABLES)
    assert [p.name for p in tmp_path.iterdir()] == ["weights.safetensors"]


def test_half_precision_is_half_as_long_and_loads_as_float32(tmp_path):
    big = {"params": {"kernel": np.random.default_rng(0).normal(size=5000).astype(np.float32)}}
    save_variables(tmp_path / "full", big, {})
    save_variables(tmp_path / "half", big, {}, half_precision=True)
    loaded, _ = load_variables(tmp_path / "half")
    assert loaded["params"]["kernel"].dtype == np.float32
    np.testing.assert_allclose(loaded["params"]["kernel"], big["params"]["kernel"], rtol=1e-3)
    assert (tmp_path / "half").stat().st_size < 0.55 * (tmp_path / "full").stat().st_size


@pytest.mark.parametrize("damage", ["cut", "empty", "noise", "flipped"])
def test_a_damaged_file_is_named(tmp_path, damage):
    path = tmp_path / "weights.safetensors"
    save_variables(path, VARIABLES, CONFIG)
    data = path.read_bytes()
    damaged = {
        "cut": data[:-7],
        "empty": b"",
        "noise": b"not weights at all" * 9,
        "flipped": data[:-4] + np.float32(np.nan).tobytes(),
    }[damage]
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match=r"weights\.safetensors is damaged"):
        load_variables(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load_variables(tmp_path / "nowhere")


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_variables(path, VARIABLES, CONFIG)
    before = path.read_bytes()
    with pytest.raises(TypeError):
        save_variables(path, VARIABLES, {"not json": object()})
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_misfits_are_all_named():
    expected = {"params": {"a": np.zeros((2, 3)), "b": np.zeros(4)}}
    got = {"params": {"a": np.zeros((3, 2)), "c": np.zeros(4)}}
    with pytest.raises(
        ValueError, match=r"(?s)b is missing.*c is not expected.*expected shape \(2"
    ):
        check_variables(got, expected, "here")
    check_variables(expected, expected, "here")


def test_a_module_comes_back_from_its_config():
    module = FacialGenerator(unet_features=(8, 8, 8), latent_size=5)
    config = module_config(module)
    assert "axis_name" not in config
    assert module_from_config(FacialGenerator, {**config, "unet_features": [8, 8, 8]}) == module
    with pytest.raises(ValueError, match="no fields"):
        module_from_config(FacialGenerator, {"width": 3})
