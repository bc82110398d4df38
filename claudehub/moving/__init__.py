"""Moving from the older server: its configuration becomes ours."""
