"""Where audio comes from: a family of one protocol, ``MigrationSource``."""
