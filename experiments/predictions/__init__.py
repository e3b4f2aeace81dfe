"""Entities that any other system found: scored, compared and fused."""
