"""YAML to checked pipelines and back, with errors that name file, line and column."""
