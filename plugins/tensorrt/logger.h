// Sends what plugins report to TensorRT's loggers.
#pragma once

namespace yolact {

// From now on reports go to the logger of the builder, engine or context that calls the plugin. `finder` is an
// ILoggerFinder of the TensorRT that loads the library, whichever release that is. Where it is null or of a release
// that is not known, nothing is reported.
void logThrough(void* finder) noexcept;

// From now on reports go to `logger`, an ILogger of the TensorRT library that `tensorrt`, a handle of dlopen, stands
// for.
void logTo(void* logger, void* tensorrt) noexcept;

}  // namespace yolact
