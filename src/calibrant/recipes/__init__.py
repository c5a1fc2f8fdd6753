"""One recipe per published method, as YAML."""
