"""Pictures and data sets: read, preprocessed, augmented. Nothing here knows a network."""
