"""Controllers by name: who acts. A controller is built as `mac(scheme, groups, args)`."""

from controllers.basic_mac import BasicMAC
from controllers.dream_mac import DreamMAC
from controllers.policy_mac import PolicyMAC
from controllers.sale_mac import SaleMAC
from controllers.smmae_mac import SMMAEMAC

REGISTRY: dict[str, type[BasicMAC | DreamMAC | PolicyMAC | SaleMAC | SMMAEMAC]] = {
    "basic_mac": BasicMAC, "dream_mac": DreamMAC, "policy_mac": PolicyMAC, "sale_mac": SaleMAC, "smmae_mac": SMMAEMAC,
}  # fmt: skip
GREEDY = {"smmae_mac": "basic_mac"}  # who acts as one does that only trains with more, where nothing is explored
