"""How commands reach a gateway: over HTTP from anywhere, or by the door of its state folder."""
