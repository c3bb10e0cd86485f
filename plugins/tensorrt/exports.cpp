// The two functions that TensorRT looks for in a library given to IPluginRegistry::loadLibrary. Nothing is registered
// or called when the library loads.
#include "tensorrt/creators.h"
#include "tensorrt/logger.h"

extern "C" nvinfer1::IPluginCreatorInterface* const* getCreators(int32_t& count) { return yolact::creators(count); }

extern "C" void setLoggerFinder(void* finder) { yolact::logThrough(finder); }
