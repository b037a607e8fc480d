"""Move a live app's audio from one place to another, with its references, and back if it must be."""
