"""Choosing a calibration by what it does to cases that it was not fitted on."""
