"""Tracked videos of real people, as a TFDS data set."""
