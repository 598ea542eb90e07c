"""facial_jax: speech in, a video of a talking person out, in JAX."""
