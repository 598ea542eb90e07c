"""The bundled acoustic network: log mel energies in, characters out."""
