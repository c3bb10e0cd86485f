// Registers the plugins when the library is loaded, for tools that load libraries without telling TensorRT: LD_PRELOAD,
// Triton's `plugins=`, `polygraphy --plugins`, `trtexec --staticPlugins`.
//
// It is not linked to TensorRT: it takes the TensorRT that the process has loaded, from wherever, and only where there
// is none it loads one by its name.
#include <dlfcn.h>

#include <cstdio>

#include "tensorrt/creators.h"
#include "tensorrt/logger.h"
#include "tensorrt/plugin.h"
#include "tensorrt/release.h"

namespace yolact {
namespace {

using GetRegistry = void* (*)();
using RegisterCreator =
    bool (*)(void* registry, nvinfer1::IPluginCreatorInterface& creator, const char* plugin_namespace);

// The newest first. The lean runtime runs plans and builds none.
constexpr const char* kLibraries[] = {
    "libnvinfer.so.11", "libtensorrt_rtx.so.1", "libnvinfer_lean.so.11", "libnvinfer.so.10", "libnvinfer_lean.so.10",
};

// A TensorRT that is in the process, else one that can be loaded, else null.
void* findTensorRt()
{
    for (const int mode : {RTLD_LAZY | RTLD_NOLOAD, RTLD_LAZY}) {
        for (const char* name : kLibraries) {
            if (void* library = dlopen(name, mode)) {
                return library;
            }
        }
    }
    return nullptr;
}

void say(const char* sentence)
{
    std::fprintf(stderr, "libyolact_plugins_registered.so: %s; no plugins are registered\n", sentence);
}

void registerAll()
{
    void* tensorrt = findTensorRt();
    if (tensorrt == nullptr) {
        say("neither TensorRT 10 or 11 nor TensorRT for RTX 1 is in this process or in LD_LIBRARY_PATH");
        return;
    }
    const Release* release = releaseOf(tensorrt);
    if (release == nullptr) {
        say("this release of TensorRT is not known; update the toolkit");
        return;
    }
    const auto getRegistry = reinterpret_cast<GetRegistry>(dlsym(tensorrt, "getPluginRegistry"));
    void* registry = getRegistry == nullptr ? nullptr : getRegistry();
    if (registry == nullptr) {
        say("this TensorRT gives no plugin registry, which an outdated GPU driver can cause");
        return;
    }
    logTo(tensorrt);
    int32_t count = 0;
    nvinfer1::IPluginCreatorInterface* const* all = creators(count);
    for (int32_t i = 0; i < count; ++i) {
        functionAt<RegisterCreator>(release->registerCreator, registry)(registry, *all[i], kPluginNamespace);
    }
}

struct Registration {
    Registration() { registerAll(); }
};

const Registration registration;

}  // namespace
}  // namespace yolact
