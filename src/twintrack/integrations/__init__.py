"""Where calibrations are used from other libraries: MONAI, PyTorch, scikit-learn. Each module needs its library.

Nothing else in TwinTrack imports these modules, and none of them imports another library than its own.
"""
