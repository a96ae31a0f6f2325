# The release binary in a small image. Nothing else in this repository needs a container engine.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked --package levada && strip target/release/levada

FROM debian:bookworm-slim
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/levada levada
COPY --from=build /src/target/release/levada /usr/local/bin/levada
COPY LICENSE /usr/share/doc/levada/LICENSE
USER levada
WORKDIR /var/lib/levada
VOLUME /var/lib/levada
# Inside the container both interfaces listen on every address; Kafka clients outside are told the advertised one.
ENV LEVADA_DATA_DIR=/var/lib/levada/data \
    LEVADA_KAFKA_LISTEN=0.0.0.0:9092 \
    LEVADA_REST_LISTEN=0.0.0.0:8083 \
    LEVADA_BROKER_ADVERTISED_LISTENERS=PLAINTEXT://127.0.0.1:9092
EXPOSE 9092 8083
STOPSIGNAL SIGTERM
ENTRYPOINT ["levada"]
CMD ["serve"]
