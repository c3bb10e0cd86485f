// The ONNX function `YolactFastNms` as a TensorRT plugin. Tensors, types and attributes: README.md beside this file.
#pragma once

#include <NvInferRuntime.h>

#include "fast_nms/fast_nms.h"
#include "tensorrt/plugin.h"

namespace yolact {

class FastNmsPlugin final : public Plugin {
public:
    // Of the settings only those that are attributes count; sizes and type come from the tensors of each call.
    explicit FastNmsPlugin(const YolactFastNmsParams& settings);

    // IPluginV3
    nvinfer1::IPluginV3* clone() noexcept override;

    // IPluginV3OneBuild
    int32_t getOutputShapes(
        const nvinfer1::DimsExprs* inputShapes, int32_t inputs, const nvinfer1::DimsExprs* shapeInputs,
        int32_t shapeInputCount, nvinfer1::DimsExprs* outputShapes, int32_t outputs,
        nvinfer1::IExprBuilder& builder) noexcept override;
    int32_t configurePlugin(
        const nvinfer1::DynamicPluginTensorDesc* in, int32_t inputs, const nvinfer1::DynamicPluginTensorDesc* out,
        int32_t outputs) noexcept override;
    size_t getWorkspaceSize(
        const nvinfer1::DynamicPluginTensorDesc* in, int32_t inputs, const nvinfer1::DynamicPluginTensorDesc* out,
        int32_t outputs) const noexcept override;

    // IPluginV3OneRuntime
    int32_t onShapeChange(
        const nvinfer1::PluginTensorDesc* in, int32_t inputs, const nvinfer1::PluginTensorDesc* out,
        int32_t outputs) noexcept override;
    int32_t enqueue(
        const nvinfer1::PluginTensorDesc* inputDescs, const nvinfer1::PluginTensorDesc* outputDescs,
        const void* const* inputs, void* const* outputs, void* workspace, cudaStream_t stream) noexcept override;
    const nvinfer1::PluginFieldCollection* getFieldsToSerialize() noexcept override;

private:
    // The params of a call with such inputs. False, having said why, where the op cannot do it.
    template <typename Inputs>
    bool paramsFor(const Inputs* inputs, int32_t count, YolactFastNmsParams& params) const;

    YolactFastNmsParams settings_;
    FieldList fields_;
};

class FastNmsCreator final : public Creator {
public:
    FastNmsCreator();

    nvinfer1::IPluginV3* createPlugin(
        const char* name, const nvinfer1::PluginFieldCollection* fields,
        nvinfer1::TensorRTPhase phase) noexcept override;
    const nvinfer1::PluginFieldCollection* getFieldNames() noexcept override;

private:
    YolactFastNmsParams settings_;  // only their names and types are asked for
    FieldList fields_;
};

}  // namespace yolact
