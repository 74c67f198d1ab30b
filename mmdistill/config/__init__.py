"""Configs: the `distill` section, files, texts, data sets, loops and metainfo."""
