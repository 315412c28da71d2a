"""How an observation is made of what is seen: oneself, allies, enemies, things."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple


class EntityKind(NamedTuple):
    """Everything of one kind that an agent may see.

    Attributes:
        name: ``ally``, ``enemy``, ``food``, ``landmark``.
        features: which numbers of an observation belong to each: (n, F).
        actions: the action that is meant for each, an attack, say: (n,), or () where there is none.
    """

    name: str
    features: tuple[tuple[int, ...], ...]
    actions: tuple[int, ...] = ()


class Entities(NamedTuple):
    """The numbers of an observation that are the agent's own, and the kinds of what else it sees.

    Entities of a kind are alike: with two of them in each other's place, in observation and actions, an observation
    says the same.
    """

    own: tuple[int, ...]
    kinds: tuple[EntityKind, ...]


def laid_out(
    blocks: Iterable[tuple[str | None, int, int]], actions: Mapping[str, tuple[int, ...]] | None = None
) -> Entities:
    """Return the entities of an observation that is `blocks` in a row.

    Each is (name, n, F): n entities of that kind with F numbers each, or (None, 1, F): F numbers of the agent's own. A
    kind may come in several blocks of the same n. `actions` are those of each kind, in the same order.
    """
    own: list[int] = []
    features: dict[str, list[tuple[int, ...]]] = {}
    start = 0
    for name, n, size in blocks:
        parts = [tuple(range(start + k * size, start + (k + 1) * size)) for k in range(n)]
        start += n * size
        if name is None:
            own += [index for part in parts for index in part]
        elif name in features:
            features[name] = [old + new for old, new in zip(features[name], parts, strict=True)]
        else:
            features[name] = parts
    kinds = (EntityKind(name, tuple(parts), (actions or {}).get(name, ())) for name, parts in features.items())
    return Entities(tuple(own), tuple(kind for kind in kinds if kind.features and kind.features[0]))
