"""World models: which row reads which, what sees what, that boundaries leave no trace, and what imagination does."""

import numpy as np
import pytest
import torch as th
import toy_dreams as toy

from modules.worlds import latents, world
from modules.worlds.contract import Decoded, each, one_step_earlier, who_is_absent

NAMES = ["dreamer", "mamba", "mabl", "dmawm"]
every_world = pytest.mark.parametrize("name", NAMES)


@pytest.fixture
def likeliest(monkeypatch):
    """Latents are the most likely ones, so that nothing is random."""
    monkeypatch.setattr(world, "draw", lambda p, uniforms=None: latents.mode(p))


def segment(rows=8, n=3, lengths=(toy.END,) * 3):
    return toy.segment(toy.replay(lengths).sample(n, rows))


def with_row(segment, name, t, value):
    """The segment with one quantity changed at one row."""
    changed = getattr(segment, name).clone()
    changed[:, t] = value
    return segment._replace(**{name: changed})


def rows_that_differ(one, other):
    """At which rows any part of two sequences of states differs."""
    differ = [(a != b).flatten(2).any(dim=-1).any(dim=0) for a, b in zip(one, other, strict=True)]
    return th.stack(differ).any(dim=0).nonzero().flatten().tolist()


@every_world
def test_an_action_moves_the_row_after_it_and_no_earlier_one(name, likeliest):
    model, given = toy.world(name), segment()
    before = model.observe(given)
    acted = model.observe(with_row(given, "actions", 4, 1 - given.actions[:, 4]))
    assert rows_that_differ(before.states, acted.states) == [5, 6, 7]


@every_world
def test_an_observation_moves_its_own_rows_latent_and_the_next_rows_h(name, likeliest):
    model, given = toy.world(name), segment()
    before, seen = model.observe(given), model.observe(with_row(given, "obs", 4, 50.0))
    assert rows_that_differ((before.states.h,), (seen.states.h,)) == [5, 6, 7]
    assert rows_that_differ((before.posterior[0],), (seen.posterior[0],)) == [4, 5, 6, 7]
    if name != "mabl":  # whose prior reads the global posterior, and through it this row's z
        assert rows_that_differ((before.prior[0],), (seen.prior[0],)) == [5, 6, 7]


@every_world
def test_an_episode_leaves_no_trace_in_the_next(name, likeliest):
    model, given = toy.world(name), segment()
    first = given.first.clone()
    first[:, 5] = True
    given = given._replace(first=first)
    alone = type(given)(*(x[:, 5:] for x in given))
    both, apart = model.observe(given), model.observe(alone)
    for ours, theirs in zip(both.states, apart.states, strict=True):
        th.testing.assert_close(ours[:, 5:], theirs)
    for part in both.before:
        assert part[:, 5].eq(0).all() and part[:, 4].ne(0).any()


@every_world
def test_losses_with_a_boundary_are_those_of_the_parts(name, likeliest):
    model = toy.world(name, free_nats=0.5)
    given = segment(rows=4, n=2)
    apart = [model.losses(given, model.observe(given))]
    joined = type(given)(*(x.flatten(0, 1).unsqueeze(0) for x in given))  # (1, 8, …), a first row in the middle
    assert joined.first[0].nonzero().flatten().tolist() == [0, 4]
    losses = model.losses(joined, model.observe(joined))
    for term, loss in losses.items():
        th.testing.assert_close(loss, apart[0][term], msg=term)


@every_world
def test_what_arrives_with_a_first_row_counts_nothing(name):
    model, given = toy.world(name), segment()
    observed = model.observe(given)
    losses = model.losses(given, observed)
    for quantity in ("reward", "goes_on"):
        changed = model.losses(with_row(given, quantity, 0, 0.5), observed)
        assert changed[f"loss_{quantity}"].equal(losses[f"loss_{quantity}"])
        changed = model.losses(with_row(given, quantity, 1, 0.5), observed)
        assert not changed[f"loss_{quantity}"].equal(losses[f"loss_{quantity}"])


def moved(model, what, of):
    """Whether a decoded quantity depends on parts of the state at a row (`h`, `z`, …) or before it (`before_z`, …)."""
    th.manual_seed(1)
    state, before = (each(lambda x: th.randn_like(x).requires_grad_(), model.start(2)) for _ in range(2))
    for net in model.modules():  # heads that start at zero would depend on nothing
        if isinstance(net, th.nn.Linear):
            th.nn.init.normal_(net.weight)
    out = of(model.decode(before, state) if what != "obs" else model.obs_of(state))
    parts = {**state._asdict(), **{f"before_{k}": v for k, v in before._asdict().items()}}
    gradients = th.autograd.grad(out[:, 0].sum(), parts.values(), allow_unused=True)
    reads = {}
    for (key, _), gradient in zip(parts.items(), gradients, strict=True):
        if gradient is not None and gradient.ne(0).any():
            reads[key] = "all" if gradient[:, -1].ne(0).any() and gradient.shape[1] > 1 else "own"
    return reads


OWN, ALL = "own", "all"
READS = {
    "dreamer": {"obs": {"h": OWN, "z": OWN}, "reward": {"h": OWN, "z": OWN}, "avail": {"h": OWN, "z": OWN}},
    "mamba": {"obs": {"h": OWN, "z": OWN}, "reward": {"h": OWN, "before_z": OWN}, "avail": {"h": OWN, "z": OWN}},
    "dmawm": {"obs": {"h": OWN, "z": OWN}, "reward": {"h": ALL}, "avail": {"h": ALL}},
    "mabl": {
        "obs": {"h": OWN, "z": OWN},
        "reward": {"h": OWN, "z": OWN},
        "avail": {"h": OWN, "z": OWN, "h_g": OWN, "z_g": OWN},
    },
}


@every_world
def test_each_quantity_is_decoded_from_what_the_paper_says(name):
    for what, expected in READS[name].items():
        of = (lambda x: x) if what == "obs" else (lambda said, what=what: getattr(said, what))
        assert moved(toy.world(name), what, of) == expected, what
    goes_on = moved(toy.world(name), "goes_on", lambda said: said.goes_on)
    assert goes_on == (READS[name]["avail"] if name == "mabl" else READS[name]["reward"])


def test_without_interaction_every_agent_is_foreseen_from_its_own_h():
    model = toy.world("dmawm", interaction=False)
    assert moved(model, "reward", lambda said: said.reward) == {"h": OWN}
    h = th.randn(2, toy.N, model.H)
    other = h.clone()
    other[:, 1] = th.randn(2, model.H)
    assert model.prior(h)[:, 0].equal(model.prior(other)[:, 0])
    joint = toy.world("dmawm")
    assert not joint.prior(h)[:, 0].equal(joint.prior(other)[:, 0])


@every_world
def test_decentralised_is_a_promise(name):
    """Another agent's observations, actions and memory change an agent's features by not one bit; MAMBA's do."""
    model = toy.world(name)
    obs, actions = th.randn(5, toy.N, toy.OBS), th.rand(5, toy.N, toy.A)
    carry, uniforms = th.randn(5, toy.N, model.features_size), th.rand(5, toy.N, 4)
    ours = model.act(obs, carry, actions, uniforms)
    for given in (obs, actions, carry):
        given[:, 1] = th.randn(given[:, 1].shape)
    theirs = model.act(obs, carry, actions, uniforms)
    assert theirs[:, 0].equal(ours[:, 0]) == model.decentralised == (name != "mamba")
    assert not theirs[:, 1].equal(ours[:, 1])


@every_world
def test_acting_knows_what_observing_infers(name, likeliest):
    model, given = toy.world(name), segment()
    features = model.features(model.observe(given).states)
    carry, taken = th.zeros_like(features[:, 0]), th.zeros_like(given.actions[:, 0])
    for t in range(given.obs.shape[1]):
        keep = ~given.first[:, t, None, None]
        carry = model.act(given.obs[:, t], carry * keep, taken * keep, None)
        th.testing.assert_close(carry, features[:, t], atol=1e-5, rtol=1e-5)
        taken = given.actions[:, t]


@every_world
def test_a_dream_is_the_models_step_repeated(name, likeliest):
    """An action taken at row l leads to row l+1, and what it brings stands at l."""
    model, given = toy.world(name), segment()
    start = each(lambda x: x[:, -1].detach(), model.observe(given).states)
    avail, absent = th.ones(3, toy.N, toy.A, dtype=th.bool), th.zeros(3, toy.N, dtype=th.bool)
    taken, seen = [], []

    def actor(features, avail):
        actions = th.tensor([len(taken) % toy.A]).expand(3, toy.N, 1)
        taken.append(actions)
        seen.append(features)
        return actions, th.full((3, toy.N), float(len(taken))), latents.one_hot(actions[..., 0], avail.float())

    def of_row(said, absent):
        told.append(said)
        return avail, absent

    model.imagined_avail, told = of_row, []
    dream = model.imagine(start, avail, absent, actor, 4)
    state = start
    for step in range(4):
        for ours, theirs in zip(dream.states, state, strict=True):
            assert ours[:, step].equal(theirs)
        assert seen[step].equal(model.features(state))
        assert dream.actions[:, step].equal(taken[step]) and dream.log_probs[0, step, 0] == step + 1
        with th.no_grad():
            after = model.imagine_step(state, latents.one_hot(taken[step][..., 0], avail.float()), None)
            said = model.decode(state, after)
        th.testing.assert_close(dream.reward[:, step], model.rewards.mean(said.reward))
        th.testing.assert_close(dream.goes_on[:, step], said.goes_on.sigmoid())
        assert told[step].avail.equal(said.avail), "what can be done at a row is decoded from that row"
        state = after
    assert dream.states.h.shape == (3, 5, toy.N, model.H) and not dream.states.h.requires_grad


def test_at_least_one_action_is_left_in_a_dream():
    said = Decoded(th.zeros(1, 2, 1), th.zeros(1, 2), th.tensor([[[-9.0, -8.0, -9.0], [9.0, -9.0, 9.0]]]))
    nobody = th.zeros(1, 2, dtype=th.bool)
    for noop, first in ((None, [False, True, False]), (0, [True, False, False])):
        settings = dict(n_avail=3, action_size=3, imagined_avail="likely", noop=noop)
        avail, absent = toy.world("dreamer", **settings).imagined_avail(said, nobody)
        assert avail.tolist() == [[first, [True, False, True]]]
        assert absent.tolist() == [[noop == 0, False]]


def test_predicted_absence_is_final_and_hidden_from_others():
    model = toy.world("dmawm", absent="predicted")
    said = Decoded(th.zeros(1, 2, 1), th.zeros(1, 2), th.zeros(1, 2, toy.A), th.tensor([[-99.0, -99.0]]))
    gone = th.tensor([[True, False]])
    assert model.imagined_avail(said, gone)[1].equal(gone)
    h, other = th.randn(2, toy.N, model.H), None
    other = h.clone()
    other[:, 0] = th.randn(2, model.H)
    present = ~gone.expand(2, 2)
    assert model.prior(h, present)[:, 1].equal(model.prior(other, present)[:, 1])


@pytest.mark.parametrize("form", ["masked", "predicted", "as_seen"])
def test_what_absent_agents_observe_counts_only_where_it_shall(form):
    model = toy.world("mamba" if form != "predicted" else "dmawm", absent=form)
    given = segment()
    absent = given.absent.clone()
    absent[:, 2:, 1] = True
    given = given._replace(absent=absent)
    observed = model.observe(given)
    obs = given.obs.clone()
    obs[:, 2:, 1] = 7.0
    losses, changed = (model.losses(x, observed) for x in (given, given._replace(obs=obs)))
    assert losses["loss_obs"].equal(changed["loss_obs"]) == (form != "as_seen")
    assert ("loss_absent" in losses) == (form == "predicted")


@pytest.mark.parametrize("reads, expected", [("agent", True), ("detached", False), ("state", False)])
def test_the_gradient_of_the_global_posterior_into_the_agents_latent_is_a_setting(reads, expected):
    model = toy.world("mabl", global_reads=reads)
    z = th.randn(2, toy.N, model.Z, requires_grad=True)
    q = model.global_posterior(th.randn(2, toy.N, model.H), th.randn(2, toy.S), z)
    (gradient,) = th.autograd.grad(q.square().sum(), z, allow_unused=True)
    assert (gradient is not None and gradient.ne(0).any()) == expected


def test_an_agents_prior_reads_the_global_latent_that_was_asked_for(likeliest):
    given = segment()
    for reads in ("posterior", "prior"):
        model = toy.world("mabl", prior_reads=reads)
        observed = model.observe(given)
        p_g = observed.prior[1]
        z_g = observed.states.z_g if reads == "posterior" else latents.mode(p_g).flatten(-2)
        th.testing.assert_close(observed.prior[0], model.log_p(model.agent_prior(observed.states.h, z_g)))


def test_both_levels_of_a_row_are_inferred_and_imagined_from_that_rows_own_states(likeliest):
    model, given = toy.world("mabl"), segment()
    observed = model.observe(given)
    q_g = model.global_posterior(observed.states.h_g, given.state, observed.states.z)
    th.testing.assert_close(observed.posterior[1], model.log_p(q_g))
    before = each(lambda x: x[:, 2], observed.states)
    after = model.imagine_step(before, given.actions[:, 2], None)
    for z, prior in ((after.z_g, model.global_prior(after.h_g)), (after.z, model.agent_prior(after.h, after.z_g))):
        assert z.equal(latents.mode(model.probabilities(prior)).flatten(-2))


def test_a_single_global_latent_serves_all_agents():
    model, given = toy.world("mabl", single_global=True), segment()
    observed = model.observe(given)
    assert observed.states.z_g.shape[2] == 1 and observed.posterior[1].shape[2] == 1
    assert model.losses(given, observed)["loss_kl"].isfinite() and "kl_global" in model.figures(observed)
    assert model.critic_features(observed.states).shape[-1] == model.critic_size


@pytest.mark.parametrize("which, row", [("last", 3), ("next", 4)])
def test_an_agents_own_action_is_the_one_that_led_to_a_row_or_follows_it(which, row):
    """Changing a_3 changes what is to be decoded at row 4, or at row 3."""
    model, given = toy.world("mamba", own_action=which), segment()
    hidden = th.randn(*given.reward.shape, 32, requires_grad=True)
    there = th.ones_like(given.reward)
    changed = with_row(given, "actions", 3, 1 - given.actions[:, 3])
    gradients = [
        th.autograd.grad(model.own_action.losses(hidden, x, there)["loss_action"], hidden)[0] for x in (given, changed)
    ]
    differ = (gradients[0] != gradients[1]).flatten(2).any(-1).any(0).nonzero().flatten().tolist()
    assert differ == [4 if which == "last" else 3]


def test_one_step_earlier_and_absence():
    x, first = th.arange(6.0).view(1, 6), th.tensor([[True, False, False, True, False, False]])
    assert one_step_earlier(x, first).tolist() == [[0, 0, 1, 0, 3, 4]]
    avail = th.tensor([[True, False], [True, True], [False, True], [False, False]])
    assert who_is_absent(avail, True, 0).tolist() == [True, False, False, False]
    assert who_is_absent(avail, True, None).tolist() == [False] * 4
    assert who_is_absent(avail, False, None).tolist() == [False, False, False, True]


@every_world
def test_the_dynamics_loss_alone_reaches_the_recurrent_part_through_h(name):
    """With no weight on the posterior's term; the stop-gradient stands on the posterior's output, not on h."""
    model, given = toy.world(name, kl_posterior=0.0), segment()
    loss = model.divergence(model.observe(given), th.ones_like(given.reward))
    for part in (model.gru, model.before_gru, *([model.global_gru] if name == "mabl" else [])):
        gradients = th.autograd.grad(loss, list(part.parameters()), retain_graph=True)
        assert all(gradient.ne(0).any() for gradient in gradients)


def test_one_class_says_nothing():
    with pytest.raises(ValueError, match="latents of 1 class"):
        toy.settings(classes=1)


@pytest.mark.slow
@every_world
def test_a_tiny_model_foresees_a_deterministic_world(name, monkeypatch):
    """After 6 rows of a new episode, 15 more without looking: observation, reward and continuation within 1e-2.

    It learns from latents that are drawn, and foresees with the most likely ones: a draw of one in a thousand is none
    of the world's.
    """
    model = toy.trained_world(name)
    monkeypatch.setattr(world, "draw", lambda p, uniforms=None: latents.mode(p))
    assert toy.errors_ahead(model, np.random.default_rng(99)).max() < 1e-2
