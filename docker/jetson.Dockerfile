# TensorRT on a Jetson with JetPack 6, with the CUDA library and plugins. It has never been built: README.md, What has been shown.
#
# Build it on the Jetson, as plans are built there, too:
#
#   docker build -f docker/jetson.Dockerfile -t yolact:jetson .
#   docker run --rm --runtime nvidia --group-add video --user "$(id -u):$(id -g)" -v "$PWD:/data" yolact:jetson build --engine yolact.onnx
#
# TAG is a tag of NVIDIA's image. r36.4.0 has TensorRT 10.3, CUDA 12.6 and Python 3.10, the oldest that the toolkit takes.
ARG TAG=r36.4.0

FROM nvcr.io/nvidia/l4t-jetpack:${TAG} AS build
# Every Orin has sm_87.
ARG ARCHS=sm_87
# The major version of cuda-bindings must be that of the image's CUDA.
ARG CUDA_BINDINGS="cuda-bindings>=12.9,<13"
# The distribution has only one version of each package.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends cmake g++ python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /clone
COPY . .
# TensorRT's Python package comes with the image.
RUN python3 -m venv --system-site-packages /opt/yolact \
    && YOLACT_PLUGIN_ARCHS="${ARCHS}" /opt/yolact/bin/pip install --no-cache-dir ".[tensorrt,video]" "${CUDA_BINDINGS}"

FROM nvcr.io/nvidia/l4t-jetpack:${TAG}
# The device files of a Jetson's GPU belong to the group video.
RUN useradd --create-home --uid 10001 --groups video yolact
COPY --from=build /opt/yolact /opt/yolact
# The cache of engines has to be writable for whichever user the container runs as.
ENV PATH=/opt/yolact/bin:$PATH YOLACT_CACHE=/tmp/yolact
USER 10001
WORKDIR /data
ENTRYPOINT ["yolact"]
CMD ["--help"]
