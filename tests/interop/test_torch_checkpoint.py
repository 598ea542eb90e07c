"""Checkpoints written here opcode by opcode, in both layouts of `torch.save`, and by PyTorch."""

import io
import struct
import zipfile
from importlib.util import find_spec
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file

from facial_jax.interop import pytorch
from facial_jax.interop.torch_checkpoint import read_torch_checkpoint
from tests.kept import write_pytorch

STORAGES = {
    "float64": "DoubleStorage",
    "float32": "FloatStorage",
    "float16": "HalfStorage",
    "bfloat16": "BFloat16Storage",
    "int64": "LongStorage",
    "int32": "IntStorage",
    "uint8": "ByteStorage",
    "bool": "BoolStorage",
}


class Tensor(NamedTuple):
    """A tensor: all the numbers of its storage, and which of them are its own, in elements."""

    numbers: np.ndarray
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int = 0
    view: tuple[str, int, int] | None = None  # legacy: another key, first element, count
    parameter: bool = False


class Raw(NamedTuple):
    """Opcodes as they are."""

    code: bytes


def tensor(array):
    array = np.asarray(array)
    strides = tuple(step // array.itemsize for step in array.strides)
    return Tensor(array.reshape(-1), array.shape, strides)


def call(name, *arguments):
    """The opcodes that call a function of that name."""
    module, function = name.rsplit(".", 1)
    return Raw(b"c%s\n%s\n" % (module.encode(), function.encode()) + code(arguments) + b"R")


class Keys:
    """Storage keys, one for each array."""

    def __init__(self):
        self.arrays = []

    def of(self, numbers):
        for i, array in enumerate(self.arrays):
            if array is numbers:
                return str(i)
        self.arrays.append(numbers)
        return str(len(self.arrays) - 1)


def code(value, keys=None, *, legacy=False):
    """Pickle opcodes, without the header and the stop."""

    def parts(values):
        return b"".join(code(v, keys, legacy=legacy) for v in values)

    match value:
        case Raw():
            return value.code
        case Tensor():
            storage = b"ctorch\n%s\n" % STORAGES[value.numbers.dtype.name].encode()
            pid = ["storage", Raw(storage), keys.of(value.numbers), "cpu", value.numbers.size]
            pid += [value.view] if legacy else []
            arguments = Raw(b"(" + parts(pid) + b"tQ"), value.offset, value.shape, value.strides
            built = b"ctorch._utils\n_rebuild_tensor_v2\n" + parts(
                [(*arguments, False, call("collections.OrderedDict"))]
            )
            built += b"R"
            if not value.parameter:
                return built
            hooks = call("collections.OrderedDict")
            return (
                b"ctorch._utils\n_rebuild_parameter\n" + parts([(Raw(built), True, hooks)]) + b"R"
            )
        case dict():
            items = [part for item in value.items() for part in item]
            return call("collections.OrderedDict").code + b"(" + parts(items) + b"u"
        case bool() | None:
            return {True: b"\x88", False: b"\x89", None: b"N"}[value]
        case int():
            return b"J" + struct.pack("<i", value)
        case float():
            return b"G" + struct.pack(">d", value)
        case str():
            return b"X" + struct.pack("<I", len(value.encode())) + value.encode()
        case tuple():
            return b"(" + parts(value) + b"t"
        case list():
            return b"](" + parts(value) + b"e"


def pickled(value, keys=None, *, legacy=False):
    return b"\x80\x02" + code(value, keys, legacy=legacy) + b"."


def zip_file(value, *, order="little"):
    keys, file = Keys(), io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", pickled(value, keys))
        archive.writestr("archive/byteorder", order)
        for i, array in enumerate(keys.arrays):
            if order == "big":
                array = array.astype(array.dtype.newbyteorder(">"))
            archive.writestr(f"archive/data/{i}", array.tobytes())
    return file.getvalue()


def legacy_file(value):
    keys = Keys()
    start = b"\x80\x02\x8a\x0a" + (0x1950A86A20F9469CFC6C).to_bytes(10, "little") + b"."
    machine = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"int": 4}}
    body = start + pickled(1001) + pickled(machine) + pickled(value, keys, legacy=True)
    body += pickled([str(i) for i in range(len(keys.arrays))])
    for array in keys.arrays:
        body += struct.pack("<q", array.size) + array.tobytes()
    return body


LAYOUTS = pytest.mark.parametrize("write", [zip_file, legacy_file])


def read(tmp_path, content):
    path = tmp_path / "checkpoint.mdl"
    path.write_bytes(content)
    return read_torch_checkpoint(path)


def some(shape, dtype="float32", seed=0):
    return (10 * np.random.default_rng(seed).normal(size=shape)).astype(dtype)


@LAYOUTS
def test_every_dtype_and_shape_comes_back(tmp_path, write):
    arrays = {name: some((2, 3), name) for name in STORAGES if name != "bfloat16"}
    arrays["bfloat16"] = some((2, 3)).astype(jnp.bfloat16)
    arrays |= {"scalar": np.int64(7), "empty": some((0, 4)), "flat": some(5)}
    got = read(tmp_path, write({name: tensor(array) for name, array in arrays.items()}))
    assert list(got) == list(arrays)
    for name, array in arrays.items():
        assert got[name].dtype == array.dtype
        assert got[name].flags.writeable
        np.testing.assert_array_equal(got[name], array)


@LAYOUTS
def test_strides_offsets_shared_storages_and_parameters_are_honoured(tmp_path, write):
    numbers = some(24)
    whole = Tensor(numbers, (4, 6), (6, 1), parameter=True)
    turned = Tensor(numbers, (6, 4), (1, 6))
    column = Tensor(numbers, (4,), (6,), offset=2)
    repeated = Tensor(numbers, (3, 2), (0, 1), offset=22)
    got = read(tmp_path, write({"a": whole, "b": [turned, (column, repeated)]}))
    expected = numbers.reshape(4, 6)
    np.testing.assert_array_equal(got["a"], expected)
    turned, (column, repeated) = got["b"]
    np.testing.assert_array_equal(turned, expected.T)
    np.testing.assert_array_equal(column, expected[:, 2])
    np.testing.assert_array_equal(repeated, np.tile(expected[-1, -2:], (3, 1)))
    turned[0, 0] = 99  # arrays share nothing, even where tensors did
    assert got["a"][0, 0] == expected[0, 0] != 99


def test_views_of_storages_in_the_old_layout_start_where_they_say(tmp_path):
    numbers = some(10)
    view = Tensor(numbers, (2, 2), (2, 1), offset=1, view=("other", 3, 5))
    got = read(tmp_path, legacy_file({"view": view}))
    np.testing.assert_array_equal(got["view"], numbers[4:8].reshape(2, 2))


def test_numbers_from_a_big_endian_machine_are_turned_round(tmp_path):
    array = some((2, 2), "float64")
    got = read(tmp_path, zip_file({"a": tensor(array)}, order="big"))["a"]
    assert got.dtype == np.dtype("<f8")
    np.testing.assert_array_equal(got, array)


@LAYOUTS
@pytest.mark.parametrize(
    "name", ["os.system", "builtins.eval", "builtins.getattr", "torch.load", "torch._utils.os"]
)
def test_anything_but_tensors_is_refused_by_name_and_not_run(tmp_path, write, name):
    trace = tmp_path / "was_run"
    bad = call(name, f"touch {trace}")
    with pytest.raises(ValueError, match=rf"checkpoint\.mdl asks for {name}, .* not run"):
        read(tmp_path, write({"a": tensor(some(3)), "b": bad}))
    assert not trace.exists()


@LAYOUTS
def test_what_a_pickle_does_to_the_functions_it_is_given_ends_with_it(tmp_path, write):
    array = some(3)
    spoil = b"ctorch._utils\n_rebuild_tensor_v2\n(N" + code({"__code__": 1}) + b"tb"
    spoil += b"0N"  # leaves None in its place
    with pytest.raises(ValueError, match="not a whole PyTorch checkpoint"):
        read(tmp_path, write({"a": Raw(spoil)}))
    spoil = spoil.replace(b"__code__", b"newattri")
    assert read(tmp_path, write({"a": Raw(spoil), "b": tensor(array)}))["a"] is None
    np.testing.assert_array_equal(read(tmp_path, write({"b": tensor(array)}))["b"], array)


@LAYOUTS
def test_a_file_cut_anywhere_is_named_as_such(tmp_path, write):
    content = write({"a": tensor(some((2, 3))), "b": tensor(some(2, "int64"))})
    assert len(read(tmp_path, content)) == 2
    for length in range(0, len(content) - 1, 3):
        with pytest.raises(ValueError, match=r"checkpoint\.mdl is not a whole PyTorch checkpoint"):
            read(tmp_path, content[:length])


@LAYOUTS
@pytest.mark.parametrize(
    "wrong",
    [
        Tensor(some(6), (2, 4), (4, 1)),
        Tensor(some(6), (2, 3), (3, 1), offset=1),
        Tensor(some(6), (2,), (1,), offset=-2),
        Tensor(some(6), (2,), (-1,), offset=3),
        Tensor(some(6), (2, 3), (1,)),
    ],
)
def test_tensors_reaching_beyond_their_numbers_are_refused(tmp_path, write, wrong):
    with pytest.raises(ValueError, match="not a whole PyTorch checkpoint"):
        read(tmp_path, write({"a": wrong}))


@LAYOUTS
def test_a_few_bytes_do_not_become_many(tmp_path, write):
    repeated = Tensor(some(1), (1000, 100), (0, 0))
    np.testing.assert_array_equal(
        read(tmp_path, write({"a": repeated}))["a"], np.full((1000, 100), some(1)[0])
    )
    with pytest.raises(ValueError, match="more than 4 times the"):
        read(tmp_path, write({"a": Tensor(some(1), (10**4, 10**4), (0, 0))}))
    with pytest.raises(ValueError, match="more than 4 times the"):  # each of them would do
        read(tmp_path, write({str(i): repeated for i in range(20)}))


def test_other_zip_archives_are_named(tmp_path):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("words.txt", "words")
    with pytest.raises(ValueError, match=r"without data\.pkl"):
        read(tmp_path, file.getvalue())


def tiny_discriminator():
    """A multi-scale discriminator of one scale and one layer in PyTorch's names and layout."""
    shapes = {"layer0.0": (2, 5, 4, 4), "layer1.0": (4, 2, 4, 4), "layer2.0": (1, 4, 4, 4)}
    state = {}
    for i, (name, shape) in enumerate(shapes.items()):
        state[f"scale0_{name}.weight"] = some(shape, seed=i)
        state[f"scale0_{name}.bias"] = some(shape[0], seed=9 + i)
    return state


@LAYOUTS
@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("wrapped", [False, True])
def test_published_state_dicts_become_variables(tmp_path, write, prefix, wrapped):
    state = tiny_discriminator()
    path = tmp_path / "expected.safetensors"
    save_file(state, path)
    module, expected = pytorch.multiscale_discriminator(pytorch.load_state_dict(path))
    saved = {prefix + name: tensor(array) for name, array in state.items()}
    if wrapped:
        saved = {"epoch": 3, "state_dict": saved, "optimizer": {"lr": 1e-4, "groups": [1, 2]}}
    path = tmp_path / "latest_net_D.pth"
    path.write_bytes(write(saved))
    got_module, got = pytorch.multiscale_discriminator(pytorch.load_state_dict(path))
    assert got_module == module
    for scale, layer in (("scale_0", "conv_0"), ("scale_0", "output")):
        for name, array in expected["params"][scale][layer].items():
            np.testing.assert_array_equal(got["params"][scale][layer][name], array)


def test_what_is_no_state_dict_is_said(tmp_path):
    path = tmp_path / "model.mdl"
    path.write_bytes(zip_file([tensor(some(2))]))
    with pytest.raises(ValueError, match=r"model\.mdl: expected a state dict, got a list"):
        pytorch.load_state_dict(path)
    path.write_bytes(zip_file({"a": tensor(some(2)), "epoch": 3}))
    with pytest.raises(ValueError, match=r"model\.mdl: .* 'epoch' is a int"):
        pytorch.load_state_dict(path)


def pytorch_files(folder, new_layout):
    """A file that PyTorch wrote, and another by the PyTorch that is installed, if one is."""
    yield write_pytorch.kept_file(new_layout=new_layout)
    if find_spec("torch"):
        path = folder / "new.pt"
        write_pytorch.write_checkpoint(path, new_layout=new_layout)
        yield path


@pytest.mark.parametrize("new_layout", [True, False])
def test_files_written_by_pytorch_itself(tmp_path, new_layout):
    table = write_pytorch.TABLE
    state_dict = {
        "0.weight": np.arange(18, dtype=np.float32).reshape(3, 2, 3, 1) / 8,
        "0.bias": np.arange(3, dtype=np.float32) / 8,
        "1.weight": np.arange(3, dtype=np.float32) / 8,
        "1.bias": np.arange(3, dtype=np.float32) / 8,
        "1.running_mean": np.zeros(3, np.float32),
        "1.running_var": np.ones(3, np.float32),
        "1.num_batches_tracked": np.int64(0),
    }
    views = [table.T, table[1:, 2], table[::2].astype(np.float16)]
    views += [table.astype(jnp.bfloat16), table > 3]
    for path in pytorch_files(tmp_path, new_layout):
        got = read_torch_checkpoint(path)
        assert list(got["state_dict"]) == list(state_dict)
        for name, expected in state_dict.items():
            np.testing.assert_array_equal(got["state_dict"][name], expected)
            np.testing.assert_array_equal(pytorch.load_state_dict(path)[name], expected)
        for array, expected in zip(got["views"], views, strict=True):
            assert array.dtype == expected.dtype
            np.testing.assert_array_equal(array.astype(np.float32), expected.astype(np.float32))
        assert got["parameter"].dtype == np.float64
        np.testing.assert_array_equal(got["parameter"], table)
        assert got["scalar"] == 5


def whole_modules(folder):
    """The same of a network itself, not of its tensors."""
    yield write_pytorch.MODULE
    if find_spec("torch"):
        for new_layout in (True, False):
            write_pytorch.write_module(folder / "new.pt", new_layout=new_layout)
            yield folder / "new.pt"


def test_a_whole_module_saved_by_pytorch_is_refused(tmp_path):
    for path in whole_modules(tmp_path):
        with pytest.raises(ValueError, match=rf"{path.name} asks for .*Sequential"):
            read_torch_checkpoint(path)
