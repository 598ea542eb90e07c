"""How well and how fast videos are tracked: python -m benchmarks.bench_tracking VIDEO…

With `--truth attributes.npz` (expression, pose, blink; as `experiments.make_demo_video` writes it)
the result of one video is compared with what it was drawn from: the mean absolute error of each
angle after a constant offset is taken away, and correlations of mouth opening and blink.
"""

import json
import resource
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from data_specs.synthetic_talking_head.visemes import mouth_opening as opening_of_expression
from facial_jax import enable_compilation_cache, procedural_face_model
from facial_jax.tracking import TrackedVideo, track
from facial_jax.tracking.preflight import preflight
from facial_jax.tracking.report import fitted_strip, png
from facial_jax.tracking.speech_sync import mouth_opening


@dataclass(frozen=True)
class Config:
    """What is measured."""

    videos: tyro.conf.Positional[tuple[Path, ...]]
    """The videos."""
    truth: Path | None = None
    """What the video was drawn from; for one video."""
    strips: Path | None = None
    """A folder for pictures of the fitted faces."""


def measure(tracked: TrackedVideo, wall_s: float, cpu_s: float) -> dict[str, float]:
    """Speed and fit."""
    before, after = tracked.photometric_error
    found, fitted = mouth_opening(tracked.landmarks), mouth_opening(tracked.fitted_landmarks)
    seen = tracked.seen
    return {
        "frames": len(tracked),
        "frames_per_s": len(tracked) / wall_s,
        "cpu_ms_per_frame": 1000 * cpu_s / len(tracked),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "share_with_face": float(seen.mean()),
        "landmark_error_percent": 100 * float(np.nanmean(tracked.fit_error)),
        "landmark_error_95_percent": 100 * float(np.nanpercentile(tracked.fit_error, 95)),
        "photometric_error_landmarks_only": before,
        "photometric_error": after,
        "mouth_fitted_to_found_correlation": float(np.corrcoef(found[seen], fitted[seen])[0, 1]),
    }


def compare(tracked: TrackedVideo, truth: dict[str, np.ndarray]) -> dict[str, float]:
    """With what the video was drawn from; both start at the video's first frame."""
    count = min(len(tracked), len(truth["blink"]))
    span = slice(tracked.start, tracked.start + count)
    own = tracked.attributes[:count]
    error = np.degrees(own.pose[:, :3] - truth["pose"][span, :3])
    error -= np.median(error, axis=0)
    report = {
        f"{name}_error_deg": float(np.abs(error[:, k]).mean())
        for k, name in enumerate(("pitch", "yaw", "roll"))
    }
    model = procedural_face_model()
    lips = np.asarray(model.landmarks)[[62, 66]]
    basis = np.asarray(model.expression_basis)[lips]

    def gap(expression, identity):
        rest = (
            np.asarray(model.mean_shape)[lips] + np.asarray(model.identity_basis)[lips] @ identity
        )
        points = rest + np.einsum("lck,tk->tlc", basis, expression)
        return np.linalg.norm(points[:, 0] - points[:, 1], axis=-1)

    fitted = gap(own.expression, tracked.identity.identity)
    drawn = truth["expression"][span]
    return report | {
        "mouth_correlation": float(np.corrcoef(fitted, gap(drawn, truth["identity"]))[0, 1]),
        "mouth_correlation_of_coefficients": float(
            np.corrcoef(opening_of_expression(own.expression), opening_of_expression(drawn))[0, 1]
        ),
        "blink_correlation": float(np.corrcoef(own.blink, truth["blink"][span])[0, 1]),
        "blink_error_au45": float(np.abs(own.blink - truth["blink"][span]).mean()),
    }


def main(config: Config) -> None:
    """Prints a report for each video."""
    enable_compilation_cache()
    for video in config.videos:
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        tracked = track(video)
        report = measure(tracked, time.perf_counter() - wall_s, time.process_time() - cpu_s)
        if config.truth is not None:
            with np.load(config.truth) as truth:
                report |= compare(tracked, dict(truth))
        print(f"{video.name}: {json.dumps(report, indent=1)}")
        print(preflight(tracked).text())
        if config.strips is not None:
            config.strips.mkdir(parents=True, exist_ok=True)
            strip = fitted_strip(tracked, procedural_face_model())
            (config.strips / f"{video.stem}.png").write_bytes(png(strip))


if __name__ == "__main__":
    main(tyro.cli(Config))
