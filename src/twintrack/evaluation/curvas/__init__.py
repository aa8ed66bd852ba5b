"""What the two editions of the CURVAS challenge share: variants, input checks, calibration bins, volume CRPS."""
