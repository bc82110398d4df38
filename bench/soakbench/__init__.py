"""The parts of the soak (bench/soak.py): a hub under load and faults for minutes or hours.

checks.py and log_check.py judge, without a socket; client.py, actions.py and projects.py are the
load; hub_process.py, seams.py and launcher.py run the hub; faults.py breaks it; pacing.py,
samples.py and flatness.py measure; picture.py and report.py show.
"""
