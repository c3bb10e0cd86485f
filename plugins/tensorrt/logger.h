// TensorRT's loggers, as what plugins report to.
#pragma once

namespace yolact {

// Reports go to the logger of the builder, engine or context that calls the plugin. `finder` is an ILoggerFinder of the
// TensorRT that loads the library, whichever release that is; without one, or with one of a release that is not known,
// nothing is reported.
void logThrough(void* finder) noexcept;

// Reports go to this logger, an ILogger of the TensorRT library whose handle dlopen gave.
void logTo(void* logger, void* tensorrt) noexcept;

}  // namespace yolact
