// The creators of all plugins, made once per process.
#pragma once

#include <NvInferRuntime.h>

#include <cstdint>

namespace yolact {

nvinfer1::IPluginCreatorInterface* const* creators(int32_t& count) noexcept;

}  // namespace yolact
