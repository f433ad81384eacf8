"""Texts that benches ask about."""

WORDS = """the of and to in is that it was for on are as with they be at one have this from by hot
but what some other water all long look number""".split()


def words(n, seed):
    """Words of the kind that `llmos bench` makes: a fixed walk through a list."""
    out, x = [], (seed * 2654435761 + 1) % 2**32
    for _ in range(n):
        x = (x * 1664525 + 1013904223) % 2**32
        out.append(WORDS[(x >> 8) % len(WORDS)])
    return " ".join(out)
