"""Packages for regulators."""
