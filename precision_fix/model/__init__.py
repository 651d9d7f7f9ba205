"""What a rule sees: a module's names, the sites in it, where a value flows, and what can be decided about a site."""
