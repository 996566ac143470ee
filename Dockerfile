# syntax=docker/dockerfile:1
# The same image that `make images` makes without Docker: docker build --target trigger-replicator .
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
# Static, so that the image needs nothing but the binary.
RUN host=$(rustc -vV | sed -n 's/^host: //p') \
    && RUSTFLAGS='-C target-feature=+crt-static --remap-path-prefix=/usr/local/cargo=/cargo' \
       cargo build --locked --release --target "$host" -p trigger-replicator -p drain-waiter -p legacy-purger \
       -p schema-migrator -p compatibility-layer -p loss-meter \
    && mkdir /out \
    && install -m 0555 "target/$host/release/trigger-replicator" "target/$host/release/drain-waiter" "target/$host/release/legacy-purger" \
       "target/$host/release/schema-migrator" "target/$host/release/compatibility-layer" "target/$host/release/loss-meter" /out/

FROM scratch AS trigger-replicator
LABEL org.opencontainers.image.title=trigger-replicator org.opencontainers.image.version=0.1.0
COPY --from=build /out/trigger-replicator /trigger-replicator
USER 65532:65532
ENTRYPOINT ["/trigger-replicator"]

FROM scratch AS drain-waiter
LABEL org.opencontainers.image.title=drain-waiter org.opencontainers.image.version=0.1.0
COPY --from=build /out/drain-waiter /drain-waiter
USER 65532:65532
ENTRYPOINT ["/drain-waiter"]

FROM scratch AS legacy-purger
LABEL org.opencontainers.image.title=legacy-purger org.opencontainers.image.version=0.1.0
COPY --from=build /out/legacy-purger /legacy-purger
USER 65532:65532
ENTRYPOINT ["/legacy-purger"]

FROM scratch AS schema-migrator
LABEL org.opencontainers.image.title=schema-migrator org.opencontainers.image.version=0.1.0
COPY --from=build /out/schema-migrator /schema-migrator
USER 65532:65532
ENTRYPOINT ["/schema-migrator"]

FROM scratch AS compatibility-layer
LABEL org.opencontainers.image.title=compatibility-layer org.opencontainers.image.version=0.1.0
COPY --from=build /out/compatibility-layer /compatibility-layer
USER 65532:65532
ENTRYPOINT ["/compatibility-layer"]

FROM scratch AS loss-meter
LABEL org.opencontainers.image.title=loss-meter org.opencontainers.image.version=0.1.0
COPY --from=build /out/loss-meter /loss-meter
USER 65532:65532
ENTRYPOINT ["/loss-meter"]
