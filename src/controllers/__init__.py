"""Controllers by name: who acts. A controller is built as `mac(scheme, groups, args)`."""

from controllers.basic_mac import BasicMAC
from controllers.dream_mac import DreamMAC
from controllers.policy_mac import PolicyMAC
from controllers.sale_mac import SaleMAC

REGISTRY: dict[str, type[BasicMAC | DreamMAC | PolicyMAC | SaleMAC]] = {
    "basic_mac": BasicMAC, "dream_mac": DreamMAC, "policy_mac": PolicyMAC, "sale_mac": SaleMAC,
}
