"""Response tables that travel between sites: their file, what a minimum count withholds, and joining them."""
