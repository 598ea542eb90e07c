"""Products in whole float32, where geometry is computed."""

import jax

full_precision = jax.default_matmul_precision("highest")
"""Decorates functions whose matrix products keep float32's precision on every device.

GPUs multiply float32 matrices in TF32 and TPUs in bfloat16 unless told otherwise: with three
decimal digits, a vertex is drawn up to a tenth of a pixel away from its place. Networks do without.
"""
