"""Adapters of head families: how their outputs are fused and decoded."""
