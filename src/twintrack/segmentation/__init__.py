"""From a CT to the members' probabilities inside the region of interest: the coarse-to-fine nnU-Net ensemble.

Importing this room does not import torch; the files under `nets` and `training` do, when a network is first needed.
"""

from __future__ import annotations
