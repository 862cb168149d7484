"""Who may send: the tenants and devices that are registered."""
