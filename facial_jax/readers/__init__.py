"""Reading files that anybody may have written.

Nothing in them is run, a few bytes do not fill the memory, and what is wrong is a ValueError.
"""
