"""How a stage is solved: by steps, in closed form, or not at all."""
