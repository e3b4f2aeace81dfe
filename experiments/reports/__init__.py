"""What people look at in a browser: one run, or runs side by side, each a self-contained page."""
