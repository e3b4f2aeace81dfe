"""One module a way from text to knowledge: `build(*, kb, options) -> Retriever`. A leading underscore marks helpers."""
