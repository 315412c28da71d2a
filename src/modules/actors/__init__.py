"""Actors by name: what an agent knows to a density over its actions. An actor is built as `actor(input_size, args)`.

Every actor offers these verbs: ``encode(inputs, sizes, hidden)`` unrolls the histories; ``density(h, available)`` says
how likely each action is then (see `modules.actors.densities`).
"""

from modules.actors.rnn_actor import RNNActor

REGISTRY = {"rnn": RNNActor}
