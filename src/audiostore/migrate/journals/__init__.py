"""Where a run keeps what it has done: a family of one protocol, ``Journal``."""
