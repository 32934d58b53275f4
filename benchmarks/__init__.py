"""Measurements; `make bench` runs them. Figures are printed with how they were taken."""
