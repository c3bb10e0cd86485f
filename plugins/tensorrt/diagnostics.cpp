#include "tensorrt/diagnostics.h"

#include <atomic>
#include <cstdarg>
#include <cstdio>

namespace yolact {
namespace {

std::atomic<MessageSink> messageSink{nullptr};

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
    if (status == cudaErrorNoKernelImageForDevice || status == cudaErrorUnsupportedPtxVersion) {
        refuse(
            "%s: the plugin library was not compiled for this GPU; build it again with its architecture in "
            "CMAKE_CUDA_ARCHITECTURES",
            op);
    } else if (status != cudaSuccess) {
        refuse("%s: its kernels could not be launched: %s", op, cudaGetErrorString(status));
    }
    return static_cast<int>(status);
}

}  // namespace yolact
