"""Convolutions for pictures, and Overcooked, whose observations are pictures."""

import numpy as np
import pytest
import torch as th
import toy_dreams as toy
from packages import needs
from tiny_runs import DREAMS, play, read

from envs import make_env
from modules.worlds.pictures import PictureDecoder, PictureEncoder, sides_of

UP, RIGHT, LEFT, STAY, INTERACT = 0, 2, 3, 4, 5
ONION = (LEFT, INTERACT, RIGHT, UP, INTERACT)  # the first cook takes one and puts it into the pot
KITCHEN = {"layout": "cramped_room", "random_start": False, "shaping": 1.0, "max_steps": 12}


@pytest.mark.parametrize(
    "size, sides", [((4, 5), [(4, 5)]), ((8, 9), [(8, 9), (8, 5)]), ((44, 44), [(44, 44), (22, 22), (11, 11), (6, 6)])]
)
def test_sides_are_halved_until_they_are_small(size, sides):
    assert sides_of(*size) == sides


@pytest.mark.parametrize("image", [(4, 5, 26), (9, 5, 3), (44, 44, 3)])
def test_pictures_of_any_size_go_in_and_come_out(image):
    encoder, decoder = PictureEncoder(image, 16), PictureDecoder(12, image)
    pixels = th.rand(2, 3, int(np.prod(image)))
    assert encoder(pixels).shape == (2, 3, 16) and decoder(th.rand(2, 3, 12)).shape == pixels.shape


def test_a_pixel_stands_where_it_stood():
    """Without padding at work a shifted picture gives the shifted feature map: height comes first, channels last."""
    encoder = PictureEncoder((6, 6, 2), 4)
    picture = th.zeros(1, 6, 6, 2)
    picture[0, 1, 3, 1] = 1.0
    first = encoder.convolutions[0]
    seen = first(picture.permute(0, 3, 1, 2)) - first.bias[:, None, None]
    rows, columns = seen[0].abs().sum(dim=0).nonzero(as_tuple=True)
    assert set(rows.tolist()) == {0, 1, 2} and set(columns.tolist()) == {2, 3, 4}


def test_a_world_of_pictures_can_be_observed_and_dreamt():
    model = toy.world("dmawm", obs_size=4 * 5 * 3, image=(4, 5, 3))
    given = toy.segment(toy.replay().sample(2, 5))
    given = given._replace(obs=th.rand(2, 5, toy.N, 60))
    observed = model.observe(given)
    losses, _ = model.losses(given, observed)
    sum(losses.values()).backward()
    assert all(p.grad is not None for p in model.picture_encoder.parameters())
    assert model.obs_of(observed.states).shape == given.obs.shape


@needs("overcooked")
@pytest.mark.slow  # JAX compiles
def test_a_kitchen_pays_what_the_package_pays():
    """Rewards and pictures of random play, against the package stepped by itself; in the end it is cut off."""
    from envs.jax_groups import jax
    from envs.overcooked_kitchens import COOKS, kitchen

    env, game = make_env("overcooked", KITCHEN), kitchen("cramped_room", False, 12).env
    env.reset(3)
    obs, state = game.reset(jax.random.PRNGKey(3))
    step = jax.jit(game.step_env)
    rng, paid = np.random.default_rng(1), 0.0
    for t in range(12):
        seen = env.view.obs.reshape(2, *env.info.obs_image)
        for i, name in enumerate(COOKS):
            np.testing.assert_array_equal(seen[i], obs[name])
        assert (seen[0, ..., 0] == seen[1, ..., 1]).all()  # a cook sees itself first
        actions = rng.integers(6, size=2) if t >= len(ONION) else np.array([ONION[t], STAY])
        reward, terminated, truncated, info = env.step(actions)
        obs, state, rewards, _, more = step(jax.random.PRNGKey(0), state, dict(zip(COOKS, actions, strict=True)))
        expected = rewards[COOKS[0]] + sum(more["shaped_reward"].values())
        assert reward == pytest.approx(float(expected)) and not terminated and truncated == (t == 11)
        paid += reward
        assert t != 4 or reward == 3
    assert paid >= 3 and info["soups"] == 0
    picture = env.render()
    assert picture.shape == (192, 240, 3) and picture.dtype == np.uint8
    assert not np.array_equal(picture, env.render_observation(np.zeros((2, 520))))


@needs("overcooked")
@pytest.mark.slow  # JAX compiles
def test_a_world_model_learns_from_a_kitchens_pictures(tmp_path):
    more = {f"env_args.{name}": str(value) for name, value in KITCHEN.items()}
    short = {"t_max": "100", "test_interval": "1000", "save_model_interval": "1000", "buffer_size": "1000"}
    metrics = read(play("dmawm", "overcooked", tmp_path, **DREAMS | short | more), "metrics.json")
    assert np.isfinite(metrics["loss_obs"]["values"]).all() and "soups_mean" in metrics
