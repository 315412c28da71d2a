"""StarCraft II's messages on the installed protobuf: made from their descriptions, read by the fast implementation.

Each case runs in a process of its own, because protobuf decides on its implementation when it is first imported.
"""

import os
import subprocess
import sys
from pathlib import Path

from packages import needs

import envs

pytestmark = needs("sc2")
SRC = Path(envs.__file__).parents[1]
SLOW = {"PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python"}
LOAD = "from envs.sc2_protocol import load_protocol; load_protocol()\n"
MESSAGES = """
from google.protobuf.internal import api_implementation
from s2clientprotocol import common_pb2, data_pb2, debug_pb2, error_pb2, raw_pb2, sc2api_pb2 as api
print(api_implementation.Type())
said = api.Response(id=7, status=api.in_game)
unit = said.observation.observation.raw_data.units.add(tag=2**40 + 1, alliance=raw_pb2.Enemy, health=0.5)
unit.pos.x = 1.25
data = said.SerializeToString()
print(data.hex())
assert api.Response.FromString(data) == said and said.WhichOneof("response") == "observation"
create = debug_pb2.DebugCommand(create_unit=debug_pb2.DebugCreateUnit(unit_type=48, pos=common_pb2.Point2D(x=1, y=2)))
print(create.SerializeToString().hex(), sorted(api.Status.items()), api.Status.Name(3), data_pb2.Weapon.Ground)
print(error_pb2.ActionResult.Value("Success"), api.ResponseCreateGame.Error.DESCRIPTOR.full_name, api.DESCRIPTOR.name)
"""


def said(code, **variables):
    environment = {name: value for name, value in os.environ.items() if name not in SLOW} | {"PYTHONPATH": str(SRC)}
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], env=environment | variables, capture_output=True, text=True
    )


def test_the_package_alone_cannot_be_imported_here():
    """Where it can, nothing of `envs.sc2_protocol` is needed any more."""
    assert "Descriptors cannot be created directly" in said("import s2clientprotocol.sc2api_pb2").stderr


def test_messages_made_from_descriptions_are_those_that_the_slow_implementation_makes():
    fast, slow = said(LOAD + MESSAGES), said(LOAD + MESSAGES, **SLOW)
    kind, *messages = fast.stdout.splitlines()
    other_kind, *others = slow.stdout.splitlines()
    assert (kind, other_kind) == ("upb", "python"), fast.stderr + slow.stderr
    assert messages == others and len(messages) == 3


def test_modules_that_are_loaded_stay_the_same_objects():
    code = "import sys; from s2clientprotocol import common_pb2; load_protocol()\n"
    code += "print(sys.modules['s2clientprotocol.common_pb2'] is common_pb2)"
    assert said(LOAD + code).stdout == "True\n"


def test_pysc2_finds_the_messages():
    done = said(LOAD + "from pysc2.lib import protocol, remote_controller, units; print(protocol.Status.in_game.value)")
    assert done.stdout == "3\n", done.stderr
