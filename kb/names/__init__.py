"""Names of concepts: their normal forms, variants and abbreviations, and finding them in text."""
