"""The client of a hub: addresses, keys, and one blocking connection."""
