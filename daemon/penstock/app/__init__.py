"""The daemon as a whole: the only package that knows every stage."""
