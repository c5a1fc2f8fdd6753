"""Explainers: small classes that make heat maps of what a model sees; they need torch."""
