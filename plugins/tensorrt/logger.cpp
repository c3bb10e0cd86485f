#include "tensorrt/logger.h"

#include <dlfcn.h>

#include <atomic>
#include <cstdint>

#include "tensorrt/diagnostics.h"
#include "tensorrt/release.h"

namespace yolact {
namespace {

constexpr int32_t kSeverityError = 1;  // ILogger::Severity::kERROR

using FindLogger = void* (*)(void* finder);
using GetLogger = void* (*)();
using Log = void (*)(void* logger, int32_t severity, const char* message);

std::atomic<void*> finder{nullptr};
std::atomic<GetLogger> get_logger{nullptr};  // there is no logger before the process makes its first TensorRT object
std::atomic<const Release*> release{nullptr};

void log(const char* sentence)
{
    const Release& places = *release;
    try {
        void* logger =
            finder != nullptr ? functionAt<FindLogger>(places.findLogger, finder)(finder) : get_logger.load()();
        if (logger != nullptr) {
            functionAt<Log>(places.log, logger)(logger, kSeverityError, sentence);
        }
    } catch (...) {  // whatever a logger throws must not get into the TensorRT that called the plugin
    }
}

void logFor(const Release* found)
{
    release = found;
    setMessageSink(found == nullptr ? nullptr : log);
}

}  // namespace

void logThrough(void* given) noexcept
{
    finder = given;
    Dl_info library{};
    // The finder's class belongs to a TensorRT that the process has loaded already.
    const bool found = given != nullptr && dladdr(*static_cast<void**>(given), &library) != 0;
    void* tensorrt = found ? dlopen(library.dli_fname, RTLD_LAZY | RTLD_NOLOAD) : nullptr;
    logFor(releaseOf(tensorrt));
    if (tensorrt != nullptr) {
        dlclose(tensorrt);
    }
}

void logTo(void* tensorrt) noexcept
{
    get_logger = reinterpret_cast<GetLogger>(dlsym(tensorrt, "getLogger"));
    logFor(get_logger == nullptr ? nullptr : releaseOf(tensorrt));
}

}  // namespace yolact
