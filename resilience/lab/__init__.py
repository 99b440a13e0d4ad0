"""What a policy means, answered as data: `explain` and `diff`.

Usable as a library; the command line only renders what these return. Nothing here
calls a service. Import from the modules: `from resilience.lab.explain import explain`.
"""
