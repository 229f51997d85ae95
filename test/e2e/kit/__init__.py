"""What the end-to-end tests and the demo drive: the agent, Envoy, clients and load. Standard library only."""
import os

# gRPC would wait at each fork for threads of its own, at times for ever. Our children only exec.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "false"
