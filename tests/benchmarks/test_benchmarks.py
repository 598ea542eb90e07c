"""The benchmarks' table: what was measured, what could not be, what failed."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest

from benchmarks import __main__ as command
from benchmarks import bench_facial_gan, bench_nvdiffrast, bench_render_to_video, bench_rendering
from benchmarks.measure import CannotRunError, Row, device_slug, machine, measure


def measured(settings):
    """Something fast."""
    yield measure("a sum", jnp.sum, jnp.ones(3), repeats=settings.repeats, items=4)


def impossible(settings):
    """Something for another machine."""
    raise CannotRunError("there is no such device")
    yield


def not_installed(settings):
    """Something of an extra."""
    import a_package_that_nobody_has.inside  # noqa: F401

    yield


def broken(settings):
    """Something wrong."""
    yield Row("the part that went well", 0.25, 0.5, 0.0)
    raise ValueError("no such shape\nand more")


def written(folder):
    (path,) = folder.iterdir()
    assert path.name == f"{device_slug()}.txt"
    return path.read_text()


def test_the_table_has_the_machine_the_rows_and_the_reasons(tmp_path, capsys):
    benchmarks = (impossible, measured, not_installed)
    command.main(command.Arguments(quick=True), benchmarks, tmp_path)
    text = written(tmp_path)
    assert text.startswith(f"python -m benchmarks --quick\n\n{machine()}\n")
    lines = text.splitlines()
    for title, beginning in (
        ("Something fast.", "  a sum "),
        ("Something for another machine.", "  not run: there is no such device"),
        ("Something of an extra.", "  not run: a_package_that_nobody_has is not installed"),
    ):
        assert lines[lines.index(title) + 1].startswith(beginning)
    assert text in capsys.readouterr().out


def test_a_failure_is_shown_keeps_what_was_measured_and_stops_no_other(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        command.main(command.Arguments(), (broken, measured), tmp_path)
    assert ended.value.code == 1
    text = written(tmp_path)
    assert "the part that went well" in text
    assert "  failed: ValueError: no such shape\n" in text
    assert "a sum" in text
    assert "Traceback" in capsys.readouterr().err


def test_a_package_of_ours_that_is_missing_is_a_failure():
    def renamed(settings):
        """Something renamed."""
        import facial_jax.no_such_module  # noqa: F401

        yield

    assert not command.run((renamed,), command.Settings(quick=True, on_cpu=True))[1]


def test_a_call_compiles_once_and_is_repeated():
    calls = []
    row = measure("calls", lambda x: calls.append(x), 7, repeats=4, items=2)
    assert calls == [7] * 5
    assert (row.name, row.items) == ("calls", 2)


def test_a_row_has_the_time_of_one_item_and_how_many_a_second():
    row = Row("frames", wall_s=0.5, processor_s=4.0, compile_s=12.0, items=100, memory_mib=3.0)
    assert " ".join(str(row).split()) == "frames 5.000 ms 40.0 ms 200.00 12.0 s 3.0 MiB"
    assert "2.50 s" in str(dataclasses.replace(row, wall_s=2.5, items=1))


def test_every_benchmark_has_a_title_and_its_own_rows():
    assert len({benchmark.__doc__ for benchmark in command.BENCHMARKS}) == len(command.BENCHMARKS)
    with pytest.raises(CannotRunError, match="left out by --quick"):
        next(command.facial_gan_networks(command.Settings(quick=True, on_cpu=True)))


def test_the_smallest_of_each_network_and_of_rendering_is_measured():
    facial_gan = bench_facial_gan.Arguments(repeats=1, batches=(1,), windows=1, widths=("small",))
    video = bench_render_to_video.Arguments(1, 32, 1, small=True, gradients=False, training=False)
    rendering = bench_rendering.Arguments(size=16, frames=1, repeats=1, steps=False)
    with jax.numpy_dtype_promotion("standard"):  # optax mixes dtypes inside
        rows = [
            *bench_facial_gan.rows(facial_gan),
            *bench_render_to_video.rows(video),
            next(bench_rendering.rows(rendering)),
        ]
    for row, name in zip(rows, ("generated", "training step", "made", "render()"), strict=True):
        assert name in row.name
        assert row.wall_s > 0


def test_without_nvdiffrast_its_benchmark_says_what_is_missing(monkeypatch):
    def missing():
        raise RuntimeError("nvdiffrast is not installed")

    monkeypatch.setattr("facial_jax.rendering.nvdiffrast_backend._operations", missing)
    with pytest.raises(CannotRunError, match="nvdiffrast is not installed"):
        next(bench_nvdiffrast.rows(bench_nvdiffrast.Arguments(size=8, frames=1, repeats=1)))
