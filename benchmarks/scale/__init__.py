"""How time and memory grow with voxels, members, raters and cases, and what that means for a hundred thousand CTs."""
