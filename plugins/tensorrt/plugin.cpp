#include "tensorrt/plugin.h"

namespace yolact {

nvinfer1::IPluginCapability* Plugin::getCapabilityInterface(nvinfer1::PluginCapabilityType type) noexcept
{
    switch (type) {
    case nvinfer1::PluginCapabilityType::kCORE: return static_cast<nvinfer1::IPluginV3OneCore*>(this);
    case nvinfer1::PluginCapabilityType::kBUILD: return static_cast<nvinfer1::IPluginV3OneBuild*>(this);
    case nvinfer1::PluginCapabilityType::kRUNTIME: return static_cast<nvinfer1::IPluginV3OneRuntime*>(this);
    }
    return nullptr;
}

bool Plugin::supportsFormatCombination(
    int32_t position, const nvinfer1::DynamicPluginTensorDesc* tensors, int32_t, int32_t) noexcept
{
    return signature_.supportsFormat(position, tensors);
}

int32_t Plugin::getOutputDataTypes(
    nvinfer1::DataType* outputTypes, int32_t, const nvinfer1::DataType* inputTypes, int32_t inputs) const noexcept
{
    return signature_.outputTypes(inputTypes, inputs, outputTypes) ? kSuccess : kRefused;
}

nvinfer1::IPluginV3* Plugin::attachToContext(nvinfer1::IPluginResourceContext*) noexcept
{
    return clone();  // nothing is kept between calls
}

}  // namespace yolact
