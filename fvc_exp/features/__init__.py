"""Handcrafted features: decoded frames and container facts to numbers."""

# Change it with any change of a definition: tables of different versions must not be mixed.
FEATURE_VERSION = "3"
