// A library that stands for TensorRT before a plugin library that registers itself: a registry whose registerCreator
// has BEFORE virtual functions before it, and a logger that is there only once somebody made an object of TensorRT's.
// The logger is release 11's where BASE is defined, else release 10's.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <type_traits>

#include "tensorrt/abi/plugin.h"

#ifdef BASE
#define BASE_CLASS : nvinfer1::IVersionedInterface
#else
#define BASE_CLASS
#endif

namespace {

nvinfer1::IPluginCreatorV3One* registered[8];
std::string names, logged;
int count = 0;
bool made = false;

struct Logger BASE_CLASS{
#ifdef BASE
    nvinfer1::InterfaceInfo getInterfaceInfo() const noexcept override{return {"ILogger", 1, 0};
}
#endif
virtual void log(int32_t severity, const char* message) noexcept
{
    logged += std::to_string(severity) + " " + message + "\n";
}  // namespace
}
;

// Each step adds one virtual function.
template <int N>
struct Before : Before<N - 1> {
    virtual void other(std::integral_constant<int, N>) { std::abort(); }
};

template <>
struct Before<0> {};

struct Registry : Before<BEFORE> {
    virtual bool registerCreator(nvinfer1::IPluginCreatorInterface& creator, const char* plugin_namespace) noexcept
    {
        auto* one = static_cast<nvinfer1::IPluginCreatorV3One*>(&creator);
        registered[count++] = one;
        names += std::string(plugin_namespace) + "." + one->getPluginName() + " ";
        return true;
    }
};

}  // namespace

extern "C" {

int32_t getInferLibVersion() { return VERSION; }

void* getPluginRegistry()
{
    static Registry registry;
    return &registry;
}

void* getLogger()
{
    static Logger logger;
    return made ? &logger : nullptr;
}

void played_make_object() { made = true; }

const char* played_names() { return names.c_str(); }

const char* played_logged() { return logged.c_str(); }

// Whether the first creator makes a plugin without any attributes.
int played_create()
{
    nvinfer1::PluginFieldCollection none{};
    return registered[0]->createPlugin("plugin", &none, nvinfer1::TensorRTPhase::kBUILD) != nullptr;
}

}  // extern "C"
