"""A talking-head corpus made from nothing but this repository and its dependencies."""
