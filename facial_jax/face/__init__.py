"""The 3D morphable face model: its pytree, its sources, the eye region."""
