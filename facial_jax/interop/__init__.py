"""Published weights of other frameworks, read into this project's parameters."""
