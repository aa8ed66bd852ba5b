"""What lies inside image files: headers, compression and checksums, so that nothing damaged passes for an image."""
