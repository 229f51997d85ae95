# Builds nodepilot as ./check does, and carries nothing but it and its run-time libraries.
FROM debian:12 AS build
RUN apt-get update && apt-get install -y --no-install-recommends \
      g++ cmake ninja-build pkg-config libssl-dev libgrpc++-dev libprotobuf-dev protobuf-compiler \
      protobuf-compiler-grpc libboost-dev nlohmann-json3-dev libyaml-cpp-dev libcli11-dev \
      libspdlog-dev libfmt-dev libexpected-dev libnghttp2-dev libsystemd-dev libcjose-dev libjansson-dev \
      prometheus-cpp-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN cmake -G Ninja -B /build -DNODEPILOT_TESTS=OFF . \
    && ninja -C /build nodepilot \
    && strip /build/nodepilot

FROM debian:12-slim
LABEL org.opencontainers.image.title="nodepilot" \
      org.opencontainers.image.description="Node-local SPIFFE identity agent: Workload API and Envoy SDS on a Unix socket" \
      org.opencontainers.image.version="0.1.0"
RUN apt-get update && apt-get install -y --no-install-recommends \
      ca-certificates libssl3 libgrpc++1.51 libprotobuf32 libyaml-cpp0.7 libspdlog1.10 libfmt9 libnghttp2-14 libsystemd0 libcjose0 \
      libprometheus-cpp-core1.0 \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --system --gid 61000 nodepilot \
    && useradd --system --uid 61000 --gid nodepilot --no-create-home --shell /usr/sbin/nologin nodepilot \
    && install -d -o nodepilot -g nodepilot -m 0755 /run/nodepilot /run/nodepilot/public \
    && install -d -o nodepilot -g nodepilot -m 0750 /run/nodepilot/admin \
    && install -d -o nodepilot -g nodepilot -m 0700 /var/lib/nodepilot
COPY --from=build /build/nodepilot /usr/bin/nodepilot
COPY systemd/agent.yaml /etc/nodepilot/agent.yaml
USER nodepilot
# Workloads of other users are told apart by path only with --cap-add SYS_PTRACE, and need --pid host.
HEALTHCHECK --interval=10s --timeout=5s CMD ["nodepilot", "status"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/bin/nodepilot"]
CMD ["run", "-c", "/etc/nodepilot/agent.yaml"]
