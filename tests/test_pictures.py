"""Convolutions for pictures, alone or beside other numbers; and Overcooked, whose observations are pictures."""

import json

import numpy as np
import pytest
import torch as th
import toy_dreams as toy
from gymnasium import spaces
from line_task import Line
from packages import needs
from tiny_runs import DREAMS, play, read

from envs import make_env
from envs.gym_views import images_in
from envs.multiagentenv import ObsImage
from modules.worlds.pictures import PictureDecoder, PictureEncoder, SeenDecoder, SeenEncoder, pieces_of, sides_of
from training.assembly import build

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
    encoder, decoder = PictureEncoder((0, *image, False), 16), PictureDecoder(12, (0, *image, False))
    pixels = th.rand(2, 3, int(np.prod(image)))
    assert encoder(pixels).shape == (2, 3, 16) and decoder(th.rand(2, 3, 12)).shape == pixels.shape


def test_a_pixel_stands_where_it_stood():
    """Without padding at work a shifted picture gives the shifted feature map: height comes first, channels last."""
    encoder = PictureEncoder((0, 6, 6, 2, False), 4)
    picture = th.zeros(1, 6, 6, 2)
    picture[0, 1, 3, 1] = 1.0
    first = encoder.convolutions[0]
    seen = first(picture.permute(0, 3, 1, 2)) - first.bias[:, None, None]
    rows, columns = seen[0].abs().sum(dim=0).nonzero(as_tuple=True)
    assert set(rows.tolist()) == {0, 1, 2} and set(columns.tolist()) == {2, 3, 4}


def test_a_world_of_pictures_can_be_observed_and_dreamt():
    model = toy.world("dmawm", obs_size=4 * 5 * 3, images=((0, 4, 5, 3, False),))
    given = toy.segment(toy.replay().sample(2, 5))
    given = given._replace(obs=th.rand(2, 5, toy.N, 60))
    observed = model.observe(given)
    losses = model.losses(given, observed)
    sum(losses.values()).backward()
    assert all(p.grad is not None for p in model.seen.parameters())
    assert model.obs_of(observed.states).shape == given.obs.shape


BYTES = spaces.Box(0, 255, (5, 7, 3), np.uint8)
FLOATS = spaces.Box(0, 1, (9,))


@pytest.mark.parametrize(
    "space, images",
    [
        (BYTES, [(0, 5, 7, 3, False)]),
        (spaces.Tuple([FLOATS, BYTES, spaces.Discrete(4)]), [(9, 5, 7, 3, False)]),
        (spaces.Dict(a=FLOATS, b=spaces.Dict(c=BYTES, d=BYTES), e=BYTES), [(n, 5, 7, 3, False) for n in (9, 114, 219)]),
        (spaces.Box(0, 1, (3, 40, 30)), [(0, 40, 30, 3, True)]),
        (spaces.Box(0, 1, (26, 9, 9)), [(0, 9, 9, 26, True)]),
        (spaces.Box(0, 1, (9, 9, 26)), [(0, 9, 9, 26, False)]),
        (spaces.Box(0, 255, (40, 30), np.uint8), [(0, 40, 30, 1, False)]),
        (spaces.Box(0, 1, (40, 30)), []),
        (spaces.Box(0, 1, (2, 5, 2)), []),
    ],
)
def test_pictures_are_found_where_a_flat_observation_has_them(space, images):
    assert list(images_in(space)) == images
    sample = space.sample()
    flat, parts = spaces.flatten(space, sample), [part for _, part in walk(sample) if np.shape(part) == BYTES.shape]
    for image, part in zip(images, parts, strict=False):
        np.testing.assert_array_equal(flat[image[0] : ObsImage(*image).stop].reshape(image[1:4]), part)


def walk(sample):
    each = sample.items() if isinstance(sample, dict) else enumerate(sample) if isinstance(sample, tuple) else ()
    return [pair for key, part in each for pair in walk(part)] or [(None, sample)]


class Camera(Line):
    """Two agents on a line, who see a picture of it, and their place beside it."""

    def observation_space(self, agent):
        parts = super().observation_space(agent).spaces
        return spaces.Dict(parts | {"picture": spaces.Box(0, 255, (3, self.size, 2), np.uint8)})

    def _seen(self):
        picture = np.zeros((3, self.size, 2), np.uint8)
        for channel, agent in enumerate(self.possible_agents):
            picture[1, self.at[agent], channel] = 1
        return {agent: seen | {"picture": picture} for agent, seen in super()._seen().items()}


@needs("gymma")
def test_a_dict_s_picture_goes_through_convolutions_and_the_rest_beside_it(tmp_path):
    key = {"env_args.key": "test_pictures:Camera", "env_args.kwargs.size": "6", "env_args.time_limit": "8"}
    folder = play("dmawm", "gymma", tmp_path, **DREAMS, **key, t_max="80", test_interval="1000")
    assert np.isfinite(read(folder, "metrics.json")["loss_obs"]["values"]).all()
    assert read(folder, "info.json")["notes"] == [
        "agents see a picture, 3 x 6 with 2 channels: methods with dreams see it through convolutions"
    ]
    run = build(json.loads((folder / "config.json").read_text()))
    info, world = run.runner.info, run.mac.world
    run.close()
    assert info.obs_images == (ObsImage(2, 3, 6, 2),) and info.obs_size == 38
    first, second = world.seen.parts
    assert isinstance(first, th.nn.Identity) and isinstance(second, PictureEncoder)
    obs = th.rand(4, 2, 38)
    seen = world.seen(obs)
    assert seen.shape == (4, 2, 2 + 16) and th.equal(seen[..., :2], obs[..., :2])
    assert th.allclose(seen[..., 2:], second(obs[..., 2:]))


def test_what_is_decoded_stands_where_it_was_seen():
    images = ((2, 4, 5, 3, True), (62, 3, 3, 1, False))
    assert pieces_of(images, 75) == [(2, None), (60, images[0]), (9, images[1]), (4, None)]
    encoder, decoder = SeenEncoder(images, 75, 8), SeenDecoder(12, images, 75)
    assert encoder(th.rand(3, 75)).shape == (3, encoder.size) and encoder.size == 2 + 8 + 8 + 4
    hidden = th.rand(3, 12)
    said = decoder(hidden)
    assert th.equal(said[:, 2:62], decoder.parts[1](hidden)) and th.equal(said[:, 71:], decoder.parts[3](hidden))


def test_channels_that_come_first_are_the_same_picture():
    last, first = PictureEncoder((0, 4, 5, 3, False), 8), PictureEncoder((0, 4, 5, 3, True), 8)
    first.load_state_dict(last.state_dict())
    picture = th.rand(2, 4, 5, 3)
    assert th.allclose(last(picture.flatten(1)), first(picture.movedim(3, 1).flatten(1)))
    out, outer = PictureDecoder(6, (0, 4, 5, 3, False)), PictureDecoder(6, (0, 4, 5, 3, True))
    outer.load_state_dict(out.state_dict())
    hidden = th.rand(2, 6)
    assert th.allclose(out(hidden).view(2, 4, 5, 3).movedim(3, 1), outer(hidden).view(2, 3, 4, 5))


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
        seen = env.view.obs.reshape(2, *env.info.obs_images[0][1:4])
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
