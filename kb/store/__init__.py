"""Storage of knowledge bases: building from sources, packing, writing to a folder, and checking when it is opened."""
