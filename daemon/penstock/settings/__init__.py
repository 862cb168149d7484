"""Configuration: the typed tree, the loader that fills it, and secrets that redact themselves."""
