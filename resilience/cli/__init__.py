"""The command `resilience`: parse the arguments, call the lab, render the answer.

Nothing is worked out here. `main` is the entry point; it needs the extra `cli`.
"""
