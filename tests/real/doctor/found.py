"""What a diagnosis found, in the form that tests compare."""


def codes(found, level="problem"):
    """The codes of the findings of one level."""
    return [finding.code for finding in found.findings if finding.level == level]


def one(found, code):
    """The only finding with *code*."""
    (finding,) = [finding for finding in found.findings if finding.code == code]
    return finding
