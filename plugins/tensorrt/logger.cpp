#include "tensorrt/logger.h"

#include <dlfcn.h>

#include <atomic>
#include <cstdint>

#include "tensorrt/diagnostics.h"

namespace yolact {
namespace {

// The classes ILogger and ILoggerFinder of TensorRT's headers cannot be used here: in release 11 both got a base class,
// which moved their one function in the table of virtual functions, and one binary serves both releases. So the
// function is taken from the table by its place, which is the same in both classes. By the Itanium C++ ABI of Linux a
// member function is called as a function of the object.
constexpr int kWithoutBase = 0;
constexpr int kWithBase = 4;  // after getAPILanguage, getInterfaceInfo and two destructors
constexpr int kUnknown = -1;

constexpr int32_t kSeverityError = 1;  // ILogger::Severity::kERROR

using FindLogger = void* (*)(void* finder);
using Log = void (*)(void* logger, int32_t severity, const char* message);

std::atomic<void*> finder{nullptr};
std::atomic<void*> fixed_logger{nullptr};
std::atomic<int> place{kUnknown};

template <typename Function>
Function functionOf(void* object)
{
    void* const* table = *static_cast<void* const* const*>(object);
    return reinterpret_cast<Function>(table[place]);
}

int placeIn(void* tensorrt)
{
    using Version = int32_t (*)();
    const auto version = reinterpret_cast<Version>(dlsym(tensorrt, "getInferLibVersion"));
    const int32_t major = version == nullptr ? 0 : version() / 10000;
    switch (major) {
    case 1: return kWithBase;  // TensorRT for RTX
    case 10: return kWithoutBase;
    case 11: return kWithBase;
    default: return kUnknown;
    }
}

void log(const char* sentence)
{
    try {
        void* logger = finder != nullptr ? functionOf<FindLogger>(finder)(finder) : fixed_logger.load();
        if (logger != nullptr) {
            functionOf<Log>(logger)(logger, kSeverityError, sentence);
        }
    } catch (...) {  // whatever a logger throws must not get into the TensorRT that called the plugin
    }
}

void logFrom(void* tensorrt)
{
    place = tensorrt == nullptr ? kUnknown : placeIn(tensorrt);
    setMessageSink(place == kUnknown ? nullptr : log);
}

}  // namespace

void logThrough(void* given) noexcept
{
    finder = given;
    Dl_info library{};
    // The finder's class belongs to a TensorRT that the process has loaded already.
    const bool found = given != nullptr && dladdr(*static_cast<void**>(given), &library) != 0;
    void* tensorrt = found ? dlopen(library.dli_fname, RTLD_LAZY | RTLD_NOLOAD) : nullptr;
    logFrom(tensorrt);
    if (tensorrt != nullptr) {
        dlclose(tensorrt);
    }
}

void logTo(void* logger, void* tensorrt) noexcept
{
    fixed_logger = logger;
    logFrom(logger == nullptr ? nullptr : tensorrt);
}

}  // namespace yolact
