"""What all plots share: fonts that have the letters of any name, and figures that are written whole."""
