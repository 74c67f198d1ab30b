"""Finders: what models predict that find the instances of an image themselves."""
