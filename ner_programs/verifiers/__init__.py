"""Ways to verify: one module a way, each with `build(*, labels, guidelines, **options) -> Verifier`."""
