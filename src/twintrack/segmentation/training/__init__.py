"""Training the coarse and the fine networks with nnU-Net's own code."""
