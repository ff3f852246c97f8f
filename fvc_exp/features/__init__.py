"""Handcrafted features: decoded frames and container facts to numbers."""
