"""Controllers by name: who acts. A controller is built as `mac(scheme, groups, args)`."""

from controllers.basic_mac import BasicMAC
from controllers.sale_mac import SaleMAC

REGISTRY = {"basic_mac": BasicMAC, "sale_mac": SaleMAC}
