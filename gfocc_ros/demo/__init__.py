"""`make demo`: a drive played through the node over DDS, scored and drawn."""
