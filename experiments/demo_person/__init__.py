"""The demo person: an invented adult, drawn by this project from its own face model."""
