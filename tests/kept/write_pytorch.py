"""Writes the files of `pytorch` beside this file, for where there is no PyTorch.

python -m tests.kept.write_pytorch
"""

from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent / "pytorch"
MODULE = FOLDER / "module.pt"
TABLE = np.arange(24.0, dtype=np.float32).reshape(4, 6)


def kept_file(*, new_layout: bool) -> Path:
    """The file of one of `torch.save`'s two layouts."""
    return FOLDER / ("zip.pt" if new_layout else "legacy.pt")


def make_network():
    """A small network of PyTorch's with numbers that are no machine's own."""
    import torch

    net = torch.nn.Sequential(torch.nn.Conv2d(2, 3, (3, 1)), torch.nn.BatchNorm2d(3))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.arange(parameter.numel()).reshape(parameter.shape) / 8)
    return net


def write_checkpoint(path: Path, *, new_layout: bool) -> None:
    """A checkpoint as trainings save it, and tensors that share or cut others' numbers."""
    import torch

    net, table = make_network(), torch.from_numpy(TABLE.copy())
    saved = {
        "state_dict": net.state_dict(),
        "optimizer": torch.optim.Adam(net.parameters()).state_dict(),
        "views": [table.T, table[1:, 2], table[::2].half(), table.bfloat16(), table > 3],
        "parameter": torch.nn.Parameter(table.double()),
        "scalar": torch.tensor(5),
    }
    torch.save(saved, path, _use_new_zipfile_serialization=new_layout)


def write_module(path: Path, *, new_layout: bool) -> None:
    """A network itself: its file asks for PyTorch's classes."""
    import torch

    torch.save(make_network(), path, _use_new_zipfile_serialization=new_layout)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for new_layout in (True, False):
        write_checkpoint(kept_file(new_layout=new_layout), new_layout=new_layout)
    write_module(MODULE, new_layout=True)  # the other layout has PyTorch's source code in it
