"""Whether a case lies where the calibration cases lay, and what is flagged where it does not."""
