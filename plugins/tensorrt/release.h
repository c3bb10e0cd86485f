// Differences between releases of TensorRT that one binary serves.
#pragma once

namespace yolact {

// Places of functions in the tables of virtual functions of classes that TensorRT implements. By the Itanium C++ ABI of
// Linux a member function is called as a function of the object.
struct Release {
    int log;              // ILogger::log
    int findLogger;       // ILoggerFinder::findLogger
    int registerCreator;  // IPluginRegistry::registerCreator for creators of any kind
};

// The release of a TensorRT library, a handle of dlopen; null where it is not known or the handle is null.
const Release* releaseOf(void* tensorrt) noexcept;

template <typename Function>
Function functionAt(int place, void* object)
{
    void* const* table = *static_cast<void* const* const*>(object);
    return reinterpret_cast<Function>(table[place]);
}

}  // namespace yolact
