"""Data builders that ragkit brings along; importing this package registers them."""
