"""Controllers by name: who acts. A controller is built as `mac(scheme, groups, args)`."""

from controllers.basic_mac import BasicMAC
from controllers.policy_mac import PolicyMAC
from controllers.sale_mac import SaleMAC

REGISTRY = {"basic_mac": BasicMAC, "policy_mac": PolicyMAC, "sale_mac": SaleMAC}
