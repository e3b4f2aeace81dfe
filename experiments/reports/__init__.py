"""Reports for the browser: one run, or several runs side by side, each a self-contained HTML page."""
