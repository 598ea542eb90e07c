"""Measurements: python -m benchmarks.bench_NAME."""
