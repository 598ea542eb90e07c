"""The models, a room each: network, losses, how it is trained, and how it is used."""
