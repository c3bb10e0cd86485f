// Registers the plugins when the library is loaded, for tools that load libraries without telling TensorRT: LD_PRELOAD,
// Triton's `plugins=`, `polygraphy --plugins`, `trtexec --staticPlugins`.
//
// The registry's class differs between TensorRT's major releases, so this library serves the one that it was built
// with. It is not linked to TensorRT: it takes the TensorRT that the process has loaded, from wherever, and only where
// there is none it loads one by its name.
#include <dlfcn.h>

#include <cstdio>
#include <string>
#include <vector>

#include "tensorrt/creators.h"
#include "tensorrt/logger.h"
#include "tensorrt/plugin.h"

namespace yolact {
namespace {

template <typename Function>
Function symbol(void* library, const char* name)
{
    return reinterpret_cast<Function>(dlsym(library, name));
}

// TensorRT for RTX counts its releases from 1, and plugins of this kind are there from TensorRT 10 on.
#if defined(TRT_MAJOR_RTX) || NV_TENSORRT_MAJOR < 10
constexpr bool kHeadersOfRtx = true;
#else
constexpr bool kHeadersOfRtx = false;
#endif

// The libraries whose registry has the class that this library was built with. The one that the headers are of comes
// first; TensorRT for RTX 1 has the registry of TensorRT 11.
std::vector<std::string> registryLibraries()
{
    const std::string major = std::to_string(NV_TENSORRT_MAJOR);
    if (kHeadersOfRtx) {
        return {"libtensorrt_rtx.so." + major};
    }
    std::vector<std::string> names = {"libnvinfer.so." + major, "libnvinfer_lean.so." + major};
    if (NV_TENSORRT_MAJOR == 11) {
        names.insert(names.begin() + 1, "libtensorrt_rtx.so.1");
    }
    return names;
}

// A TensorRT that is in the process, else one that can be loaded, else null.
void* findTensorRt()
{
    for (const int mode : {RTLD_LAZY | RTLD_NOLOAD, RTLD_LAZY}) {
        for (const std::string& name : registryLibraries()) {
            if (void* library = dlopen(name.c_str(), mode)) {
                return library;
            }
        }
    }
    return nullptr;
}

void registerAll()
{
    void* tensorrt = findTensorRt();
    if (tensorrt == nullptr) {
        std::fprintf(
            stderr,
            "libyolact_plugins_registered.so was built for TensorRT %s%d, whose %s is neither in this process nor in "
            "LD_LIBRARY_PATH; no plugins are registered\n",
            kHeadersOfRtx ? "for RTX " : "", NV_TENSORRT_MAJOR, registryLibraries().front().c_str());
        return;
    }
    const auto registry = symbol<nvinfer1::IPluginRegistry* (*)()>(tensorrt, "getPluginRegistry");
    if (registry == nullptr || registry() == nullptr) {
        std::fprintf(
            stderr,
            "libyolact_plugins_registered.so: this TensorRT gives no plugin registry, which an outdated GPU driver can "
            "cause; no plugins are registered\n");
        return;
    }
    const auto logger = symbol<void* (*)()>(tensorrt, "getLogger");
    if (logger != nullptr) {
        logTo(logger(), tensorrt);
    }
    int32_t count = 0;
    nvinfer1::IPluginCreatorInterface* const* all = creators(count);
    for (int32_t i = 0; i < count; ++i) {
        registry()->registerCreator(*all[i], kPluginNamespace);
    }
}

struct Registration {
    Registration() { registerAll(); }
};

const Registration registration;

}  // namespace
}  // namespace yolact
