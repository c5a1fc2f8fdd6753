"""How a stage is solved: by steps, in closed form, by trying values, or not at all."""
