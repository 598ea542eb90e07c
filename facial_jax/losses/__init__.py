"""The losses of the papers, one function per equation."""
