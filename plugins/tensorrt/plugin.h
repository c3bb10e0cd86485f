// What all plugins do alike: they say who they are, and answer from their op's signature.
#pragma once

#include <NvInferRuntime.h>

#include <cstdint>
#include <exception>

#include "tensorrt/diagnostics.h"
#include "tensorrt/fields.h"
#include "tensorrt/signature.h"

namespace yolact {

// As in the ONNX files; see runtime/contract.py.
constexpr char kPluginNamespace[] = "yolact";
constexpr char kPluginVersion[] = "1";

// What TensorRT's calls return.
constexpr int32_t kSuccess = 0;
constexpr int32_t kRefused = 1;

// What the function makes, or null: exceptions must not get into TensorRT.
template <typename Function>
auto orNull(const char* op, Function function) noexcept -> decltype(function())
{
    try {
        return function();
    } catch (const std::exception& error) {
        refuse("%s: the plugin could not be made: %s", op, error.what());
        return nullptr;
    }
}

// An op's plugin adds: clone, getOutputShapes, configurePlugin, getWorkspaceSize where it needs any, onShapeChange,
// enqueue and getFieldsToSerialize.
class Plugin : public nvinfer1::IPluginV3,
               public nvinfer1::IPluginV3OneCore,
               public nvinfer1::IPluginV3OneBuild,
               public nvinfer1::IPluginV3OneRuntime {
public:
    explicit Plugin(const Signature& signature) : signature_(signature) {}

    // IPluginV3
    nvinfer1::IPluginCapability* getCapabilityInterface(nvinfer1::PluginCapabilityType type) noexcept final;

    // IPluginV3OneCore
    const char* getPluginName() const noexcept final { return signature_.op(); }
    const char* getPluginVersion() const noexcept final { return kPluginVersion; }
    const char* getPluginNamespace() const noexcept final { return kPluginNamespace; }

    // IPluginV3OneBuild
    int32_t getNbOutputs() const noexcept final { return signature_.outputCount(); }
    bool supportsFormatCombination(
        int32_t position, const nvinfer1::DynamicPluginTensorDesc* tensors, int32_t inputs,
        int32_t outputs) noexcept final;
    int32_t getOutputDataTypes(
        nvinfer1::DataType* outputTypes, int32_t outputs, const nvinfer1::DataType* inputTypes,
        int32_t inputs) const noexcept final;

    // IPluginV3OneRuntime
    nvinfer1::IPluginV3* attachToContext(nvinfer1::IPluginResourceContext* context) noexcept final;

private:
    const Signature& signature_;
};

// An op's creator adds createPlugin and getFieldNames.
class Creator : public nvinfer1::IPluginCreatorV3One {
public:
    explicit Creator(const Signature& signature) : signature_(signature) {}

    const char* getPluginName() const noexcept final { return signature_.op(); }
    const char* getPluginVersion() const noexcept final { return kPluginVersion; }
    const char* getPluginNamespace() const noexcept final { return kPluginNamespace; }

private:
    const Signature& signature_;
};

}  // namespace yolact
