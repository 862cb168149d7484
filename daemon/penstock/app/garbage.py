"""How seldom Python looks for garbage: cycles of objects, which nothing else frees.

Whatever is no cycle goes at once, and so do messages, all those of one read of the socket together.
Python looks whenever 700 objects more were made than freed, which one read is enough for, takes the
messages that it meets for objects that stay, and soon looks through all that there is: for messages
of one reading, a sixth of all processor time.
"""

import gc

NEW_OBJECTS = 5_000
"""So many more than freed, before Python looks through them: those of one read are fewer."""


def look_seldom() -> None:
    """Never look at what there is now, and at what is new less often."""
    gc.collect()
    gc.freeze()
    _, *older = gc.get_threshold()
    gc.set_threshold(NEW_OBJECTS, *older)
