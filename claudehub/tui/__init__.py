"""The live views of the terminal."""
