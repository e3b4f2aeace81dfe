"""Sources, one kind in each module: `build(path, *, options) -> Source`. Modules with a leading underscore are helpers."""
