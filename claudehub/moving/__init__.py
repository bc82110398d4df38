"""Moving from the older server: its configuration and its data become ours."""
