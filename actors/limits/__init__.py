"""Limits that protect the hub from its clients: connections, and how much they may ask for."""
