"""One module a kind of source: `build(path, *, options) -> Source`. A module without a leading underscore is one."""
