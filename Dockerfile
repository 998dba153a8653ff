# docker build -t edgec . && docker run --rm -v "$PWD:/work" --user "$(id -u)" edgec compile model.onnx --target rpi4
FROM python:3.12-slim
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends qemu-user libc6-arm64-cross libstdc++6-arm64-cross \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 edgec
COPY . /tmp/edgec
RUN pip install --no-cache-dir -c /tmp/edgec/constraints.txt "/tmp/edgec[tvm,eval]" && rm -rf /tmp/edgec
ENV XDG_CACHE_HOME=/tmp/cache HOME=/tmp
USER 1000
WORKDIR /work
ENTRYPOINT ["edgec"]
CMD ["--help"]
