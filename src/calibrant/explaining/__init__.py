"""Explaining a run: heat maps, the evidence in them, what is measured on it, pictures, and what people say of it."""
