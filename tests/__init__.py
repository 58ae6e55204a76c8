"""The tests as one package, so that no `tests` that a dependency may install is imported in its place."""
