"""Rewards that ragkit brings along; importing this package registers them."""
