"""Data selectors that ragkit brings along; importing this package registers them."""
