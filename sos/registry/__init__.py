"""Who may expect what: brands, vehicles, subscribers, entitlements, consents, and what became of them."""
