"""The version, which setup.cfg and exported files have from here."""

__version__ = "0.2.0"
