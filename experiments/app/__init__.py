"""A page in the browser: python -m experiments.app --port 7860."""
