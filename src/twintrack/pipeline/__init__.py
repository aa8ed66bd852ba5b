"""The whole way: from a CT to the calibrated map, and from outlined CTs to a bundle."""
