// Sends the plugins' reports to TensorRT's loggers.
#pragma once

namespace yolact {

// From now on reports go to the logger of the builder, engine or context that calls the plugin. `finder` is an
// ILoggerFinder of the TensorRT that loads the library, whichever release that is. Where it is null or of a release
// that is not known, nothing is reported.
void logThrough(void* finder) noexcept;

// From now on reports go to the logger that `tensorrt`, a handle of dlopen, has when there is something to report.
void logTo(void* tensorrt) noexcept;

}  // namespace yolact
