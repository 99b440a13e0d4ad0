"""State that processes of one host share: evidence in a memory-mapped file.

Each process writes its own rows and reads those of its peers; verdicts are its own. No
call ever waits for another process, and no process can hurt another's: what it reads is
checked, what cannot be used is left, and said once.
"""

from .host import HostState
from .place import UnusableError


__all__ = ["HostState", "UnusableError"]
