"""Echo, a task, and Cautious, a learner: both live outside mmsa-pymarl and are registered with it."""

from pathlib import Path

HERE = Path(__file__).parent


def register() -> None:
    """Tell mmsa-pymarl what is here; classes are named as texts, and imported when they are asked for."""
    from mmsa_pymarl import register_env, register_learner

    register_env("echo_game.task:Echo", HERE / "echo.yaml")
    register_learner("echo_game.learner:Cautious", HERE / "cautious.yaml")
