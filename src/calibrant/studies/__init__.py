"""Studies: many runs from one file, with a table of everything that was measured on them."""
