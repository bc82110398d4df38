"""The rows of bench/log.py: each measures ratios within one round."""
