"""SyncNet beside the same layers in PyTorch, and its measure by hand."""

import numpy as np
import pytest

from facial_jax.interop import pytorch
from facial_jax.metrics.shifts import Shift, nearest_shift, shift_distances
from facial_jax.models.syncnet import use
from facial_jax.models.syncnet.network import SyncNet
from facial_jax.models.syncnet.speech import syncnet_mfcc


def torch_layers(torch, convolutions, pools, dimensions):
    """Convolution, batch norm and ReLU for each, and the pools; numbered as they come."""
    nn = torch.nn
    conv, norm, pool = (
        getattr(nn, f"{name}{dimensions}d") for name in ("Conv", "BatchNorm", "MaxPool")
    )
    layers = []
    for i, (inputs, outputs, kernel, options) in enumerate(convolutions):
        layers += [conv(inputs, outputs, kernel, **options), norm(outputs), nn.ReLU()]
        if i in pools:
            kernel, stride, padding = pools[i]
            layers.append(pool(kernel, stride, padding))
    return nn.Sequential(*layers)


def torch_syncnet(torch):
    """The published layers with random weights; its state dict has the published names."""
    nn, same = torch.nn, {"padding": 1}
    picture = {"padding": (0, 1, 1)}
    head = [nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, 1024)]
    other = [nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, 1024)]
    model = nn.Module()
    model.netcnnaud = torch_layers(
        torch,
        [
            (1, 64, 3, same),
            (64, 192, 3, same),
            (192, 384, 3, same),
            (384, 256, 3, same),
            (256, 256, 3, same),
            (256, 512, (5, 4), {}),
        ],
        {0: (1, 1, 0), 1: (3, (1, 2), 0), 4: (3, 2, 0)},
        2,
    )
    model.netcnnlip = torch_layers(
        torch,
        [
            (3, 96, (5, 7, 7), {"stride": (1, 2, 2)}),
            (96, 256, (1, 5, 5), {"stride": (1, 2, 2), **picture}),
            (256, 256, (1, 3, 3), picture),
            (256, 256, (1, 3, 3), picture),
            (256, 256, (1, 3, 3), picture),
            (256, 512, (1, 6, 6), {}),
        ],
        {
            0: ((1, 3, 3), (1, 2, 2), 0),
            1: ((1, 3, 3), (1, 2, 2), (0, 1, 1)),
            4: ((1, 3, 3), (1, 2, 2), 0),
        },
        3,
    )
    model.netfcaud, model.netfclip = nn.Sequential(*head), nn.Sequential(*other)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
            nn.init.normal_(module.running_mean, 0, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.weight, 0.8, 1.2)
    return model.eval()


def test_syncnet_gives_what_pytorch_gives_from_a_file_that_torch_saved(tmp_path):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    model = torch_syncnet(torch)
    path = tmp_path / "syncnet_v2.model"
    torch.save(model.state_dict(), path)
    network, variables = use.load_syncnet(path)
    rng = np.random.default_rng(0)
    mfcc = rng.standard_normal((2, 13, 20, 1)).astype(np.float32)
    frames = rng.integers(0, 256, (2, 5, 224, 224, 3)).astype(np.float32)
    speech, mouth = use._vectors(network, variables, mfcc, frames)
    with torch.no_grad():
        heard = model.netcnnaud(torch.from_numpy(np.moveaxis(mfcc, -1, 1).copy()))
        seen = model.netcnnlip(torch.from_numpy(np.moveaxis(frames, -1, 1).copy()))
        expected = [
            model.netfcaud(heard.flatten(1)).numpy(),
            model.netfclip(seen.flatten(1)).numpy(),
        ]
    for got, wanted in zip((speech, mouth), expected, strict=True):
        np.testing.assert_allclose(got, wanted, atol=1e-3 * np.abs(wanted).max())


def test_a_state_dict_of_another_network_is_refused():
    with pytest.raises(ValueError, match=r"SyncNet: the tensor netcnnaud\.0\.weight is missing"):
        pytorch.syncnet({"conv.weight": np.zeros((1, 1, 3, 3))})


def test_mfccs_are_those_of_the_acoustic_model_twice_as_often():
    from facial_jax.audio.mfcc import cepstra, log_mel

    samples = (0.1 * np.random.default_rng(0).standard_normal(16000)).astype(np.float32)
    got = syncnet_mfcc(samples)
    assert got.shape == (99, 13)  # 1 + ceil((16000 - 400) / 160)
    known = cepstra(log_mel([samples]))[:, :13]
    np.testing.assert_allclose(got[::2], known[: len(got[::2])], rtol=2e-3, atol=2e-3)


def test_distances_of_shifts_are_those_worked_out_by_hand():
    pictures = np.array([[0.0], [1.0], [2.0]])
    speech = np.array([[5.0], [0.0], [1.0]])
    # k = −1: |1 − 5|, |2 − 0|; k = 0: 5, 1, 1; k = 1: |0 − 0|, |1 − 1|.
    np.testing.assert_allclose(shift_distances(pictures, speech, max_shift=1), [3, 7 / 3, 0])
    # Beyond the ends there are zeros: |0 − 0| for k = −1, |2 − 0| for k = 1.
    padded = shift_distances(pictures, speech, max_shift=1, padded=True)
    np.testing.assert_allclose(padded, [2, 7 / 3, 2 / 3])


def test_the_nearest_shift_is_where_the_sound_is_and_the_median_says_how_sure():
    assert nearest_shift(np.array([3.0, 2.5, 0.5, 4.0, 3.5])) == Shift(0, 0.5, 2.5)
    assert nearest_shift(np.array([3.0, 2.5, 3.5, 4.0, 1.0])).sound_delay_frames == 2


def test_vectors_of_another_length_are_refused():
    with pytest.raises(ValueError, match="as many vectors"):
        shift_distances(np.zeros((20, 2)), np.zeros((19, 2)))


def test_the_crop_is_the_published_one_around_the_box():
    # Landmarks in a box of 80×80 from (100, 100): with the forehead 80 wide and 100 high.
    points = np.zeros((3, 68, 2), np.float32)
    points[:, 0], points[:, 1] = (100, 100), (180, 180)
    points[:, 2:] = (140, 140)
    points[1] = np.nan
    half, middle = use._boxes(points)
    np.testing.assert_allclose(half, 50)
    np.testing.assert_allclose(middle, np.tile([140, 130], (3, 1)))
    rows, columns = np.mgrid[:300, :300]
    image = np.stack([rows, columns, 0 * rows], axis=-1).clip(0, 255).astype(np.uint8)
    crops = use.face_crops(iter([image] * 3), points)
    assert crops.shape == (3, 224, 224, 3)
    # 140 wide from x − 1.4 · 50 = 70 and y − 50 = 80 on, to 210 and 220.
    np.testing.assert_allclose(crops[0, 0, :, 1][[0, -1]], [70, 209], atol=1)
    np.testing.assert_allclose(crops[0, :, 0, 0][[0, -1]], [80, 219], atol=1)


def test_the_score_reports_the_published_sign(monkeypatch):
    vectors = np.random.default_rng(0).standard_normal((60, 4)).astype(np.float32)

    def late_by_three(network, variables, mfcc, frames):
        index = frames[:, 0, 0, 0, 0].astype(int)
        return vectors[index], vectors[index + 3]

    monkeypatch.setattr(use, "_vectors", late_by_three)
    faces = np.zeros((50, 224, 224, 3), np.uint8)
    faces[:] = np.arange(50, dtype=np.uint8)[:, None, None, None]
    score = use.syncnet_score((SyncNet(), None), faces, np.zeros(50 * 640, np.float32))
    assert score.av_offset_frames == -3
    assert score.lse_d == pytest.approx(
        np.linalg.norm(vectors[[45, 46, 47]], axis=1).sum() / 45, abs=1e-4
    )
    assert score.lse_c > 1


def test_too_little_is_refused():
    with pytest.raises(ValueError, match="at least 21 frames"):
        use.syncnet_score(
            (SyncNet(), None), np.zeros((20, 224, 224, 3), np.uint8), np.zeros(20 * 640)
        )
