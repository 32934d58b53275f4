"""The program `gestaltd`: commands, wiring, start-up and shutdown order. Nothing of the host imports it."""
