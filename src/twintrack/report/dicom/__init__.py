"""What was predicted of a CT series as DICOM objects of its study, and as twins for viewers that read no DICOM."""
