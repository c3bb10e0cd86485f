#include "tensorrt/release.h"

#include <dlfcn.h>

#include <cstdint>

namespace yolact {
namespace {

// In release 11 the loggers got a base class with a language, an interface and two destructors, and the registry lost
// its functions for plugins of earlier kinds.
constexpr Release kTen{0, 0, 12};
constexpr Release kEleven{4, 4, 8};

}  // namespace

const Release* releaseOf(void* tensorrt) noexcept
{
    using Version = int32_t (*)();
    const auto version =
        tensorrt == nullptr ? nullptr : reinterpret_cast<Version>(dlsym(tensorrt, "getInferLibVersion"));
    const int32_t major = version == nullptr ? 0 : version() / 10000;
    switch (major) {
    case 10: return &kTen;
    case 11: return &kEleven;
    case 1: return &kEleven;  // TensorRT for RTX, which counts its releases from 1
    default: return nullptr;
    }
}

}  // namespace yolact
