"""Words that others wrote, as they may stand on a terminal."""


def printable(text: str) -> str:
    """*text* of a recording, which may be anything, as it may stand on a terminal."""
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode()
        for one in text
    )
