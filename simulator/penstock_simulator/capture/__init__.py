"""Captures: what a broker published, recorded into a file, and published again from it."""
