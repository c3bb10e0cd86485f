# ONNX Runtime on a CPU. It has never been built: README.md, What has been shown.
#
#   docker build -f docker/cpu.Dockerfile -t yolact:cpu .
#   docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/data" yolact:cpu infer --engine yolact.onnx photo.jpg
ARG PYTHON=3.11

FROM python:${PYTHON}-slim AS build
ARG EXTRAS=video
ENV YOLACT_PLUGIN_ARCHS=none
WORKDIR /clone
COPY . .
RUN python -m venv /opt/yolact && /opt/yolact/bin/pip install --no-cache-dir ".[${EXTRAS}]"

FROM python:${PYTHON}-slim
RUN useradd --create-home --uid 10001 yolact
COPY --from=build /opt/yolact /opt/yolact
# The cache of engines has to be writable for whichever user the container runs as.
ENV PATH=/opt/yolact/bin:$PATH YOLACT_CACHE=/tmp/yolact
USER 10001
WORKDIR /data
ENTRYPOINT ["yolact"]
CMD ["--help"]
