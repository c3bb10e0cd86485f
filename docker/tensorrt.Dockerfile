# TensorRT on a GPU of a server or workstation, with the CUDA library and plugins. It has never been built: README.md, What has been shown.
#
#   docker build -f docker/tensorrt.Dockerfile -t yolact:tensorrt --build-arg ARCHS=sm_86 .
#   docker run --rm --gpus all --user "$(id -u):$(id -g)" -v "$PWD:/data" yolact:tensorrt build --engine yolact.onnx
#
# TAG is a tag of NVIDIA's image with TensorRT 10.3 or later. That of 25.06 has TensorRT 10.11, CUDA 12.9 and Python 3.12.
ARG TAG=25.06-py3

FROM nvcr.io/nvidia/tensorrt:${TAG} AS build
# all, or a list such as sm_86,sm_89: fewer architectures take less time and space.
ARG ARCHS=all
# The major version of cuda-bindings must be that of the image's CUDA.
ARG CUDA_BINDINGS="cuda-bindings>=12.9,<13"
# The distribution has only one version of each package.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends cmake python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /clone
COPY . .
# TensorRT's Python package comes with the image.
RUN python3 -m venv --system-site-packages /opt/yolact \
    && YOLACT_PLUGIN_ARCHS="${ARCHS}" /opt/yolact/bin/pip install --no-cache-dir ".[tensorrt,video]" "${CUDA_BINDINGS}"

FROM nvcr.io/nvidia/tensorrt:${TAG}
RUN useradd --create-home --uid 10001 yolact
COPY --from=build /opt/yolact /opt/yolact
# The cache of engines has to be writable for whichever user the container runs as.
ENV PATH=/opt/yolact/bin:$PATH YOLACT_CACHE=/tmp/yolact
USER 10001
WORKDIR /data
ENTRYPOINT ["yolact"]
CMD ["--help"]
