"""What the end-to-end tests and the demo drive: the agent, Envoy, clients and load. Standard library only."""
