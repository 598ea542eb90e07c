"""SyncNet (Chung and Zisserman 2016): whether pictures of a mouth and speech belong together."""
