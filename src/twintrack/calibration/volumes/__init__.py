"""The volume a response map expects, how the experts' volumes are spread around it, and how both are written down."""
