"""Thin scripts: python -m experiments.NAME."""
