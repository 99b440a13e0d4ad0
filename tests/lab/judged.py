"""What the doctor judged, in the form that tests compare."""


def levels(findings):
    """The code and the level of each finding."""
    return [(finding.code, finding.level) for finding in findings]


def problems(findings):
    """The codes of the problems."""
    return [finding.code for finding in findings if finding.level == "problem"]
