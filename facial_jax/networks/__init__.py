"""The networks of the papers as Flax Linen modules."""
