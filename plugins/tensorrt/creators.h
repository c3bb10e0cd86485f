// The creators of all plugins, made once per process.
#pragma once

#include <cstdint>

#include "tensorrt/abi/plugin.h"

namespace yolact {

nvinfer1::IPluginCreatorInterface* const* creators(int32_t& count) noexcept;

}  // namespace yolact
