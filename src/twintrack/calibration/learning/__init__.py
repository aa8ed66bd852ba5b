"""How a calibration's losses on new cases fall with the number of cases it was fitted to, and where that ends."""
