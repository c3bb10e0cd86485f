#include "tensorrt/diagnostics.h"

#include <atomic>
#include <cstdarg>
#include <cstdio>

namespace yolact {
namespace {

std::atomic<MessageSink> messageSink{nullptr};

bool isForOtherGpus(cudaError_t status)
{
    return status == cudaErrorNoKernelImageForDevice || status == cudaErrorInvalidDeviceFunction ||
           status == cudaErrorUnsupportedPtxVersion;
}

}  // namespace

void setMessageSink(MessageSink sink) noexcept { messageSink = sink; }

bool refuse(const char* format, ...) noexcept
{
    const MessageSink sink = messageSink;
    if (sink != nullptr) {
        char sentence[512];
        va_list arguments;
        va_start(arguments, format);
        std::vsnprintf(sentence, sizeof sentence, format, arguments);
        va_end(arguments);
        sink(sentence);
    }
    return false;
}

int enqueueStatus(const char* op, cudaError_t status) noexcept
{
    if (isForOtherGpus(status)) {
        refuse(
            "%s: the plugin library has no code for this GPU (%s); build it again for its architecture, as in "
            "yolact-build-plugins --arch sm_86",
            op, cudaGetErrorString(status));
    } else if (status == cudaErrorInsufficientDriver) {
        refuse(
            "%s: the plugin library was built with CUDA %d.%d, for which the GPU's driver is too old; update the "
            "driver, or build the library again with an older CUDA toolkit: yolact-build-plugins --arch sm_86, with "
            "the GPU's architecture",
            op, CUDART_VERSION / 1000, CUDART_VERSION % 1000 / 10);
    } else if (status != cudaSuccess) {
        refuse("%s: its kernels could not be launched: %s", op, cudaGetErrorString(status));
    }
    return static_cast<int>(status);
}

}  // namespace yolact
