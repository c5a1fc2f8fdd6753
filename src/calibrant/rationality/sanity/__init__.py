"""Do maps deserve belief? Checks that run on any model and explainer."""
