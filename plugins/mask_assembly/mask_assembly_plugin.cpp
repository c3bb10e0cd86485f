#include "mask_assembly/mask_assembly_plugin.h"

#include <algorithm>

#include "tensorrt/diagnostics.h"

namespace yolact {
namespace {

using nvinfer1::DimsExprs;
using nvinfer1::DynamicPluginTensorDesc;
using nvinfer1::IPluginV3;
using nvinfer1::PluginFieldCollection;
using nvinfer1::PluginTensorDesc;

constexpr char kName[] = "YolactMaskAssembly";

enum Input { kPrototypes, kDetectionCoefficients, kBoxes, kNumDetections };
enum Output { kMasks };

constexpr TensorSpec kInputs[] = {
    {"prototypes", Element::kNetwork, "BKHW"},
    {"detection_coefficients", Element::kNetwork, "BDK"},
    {"boxes", Element::kFloat, "BD4"},
    {"num_detections", Element::kInt32, "B1"},
};

constexpr TensorSpec kOutputs[] = {{"masks", Element::kFloat, "BDHW"}};

constexpr Signature kSignature(kName, kInputs, kOutputs);

Attributes attributesOf(MaskAssemblySettings& settings) { return {{"crop_padding", settings.crop_padding}}; }

bool isPossible(const YolactMaskAssemblyParams& params)
{
    const char* problem = yolact_mask_assembly_check(&params);
    return problem == nullptr || refuse("%s: %s", kName, problem);
}

// With sizes that always pass, to check the attributes before any tensor is known.
YolactMaskAssemblyParams smallest(MaskAssemblySettings settings)
{
    YolactMaskAssemblyParams params{};
    params.detections = params.coefficients = params.height = params.width = 1;
    params.crop_padding = static_cast<float>(settings.crop_padding);
    return params;
}

}  // namespace

MaskAssemblyPlugin::MaskAssemblyPlugin(MaskAssemblySettings settings)
    : Plugin(kSignature), settings_(settings), fields_(attributesOf(settings_), FieldData::kValues)
{
}

IPluginV3* MaskAssemblyPlugin::clone() noexcept
{
    return orNull(kName, [this] { return new MaskAssemblyPlugin(settings_); });
}

int32_t MaskAssemblyPlugin::getOutputShapes(
    const DimsExprs* inputShapes, int32_t inputs, const DimsExprs*, int32_t, DimsExprs* outputShapes, int32_t,
    nvinfer1::IExprBuilder& builder) noexcept
{
    YolactMaskAssemblyParams params{};
    return paramsFor(inputShapes, inputs, params) &&
                   kSignature.outputShapes(inputShapes, inputs, Sizes(), outputShapes, builder)
               ? kSuccess
               : kRefused;
}

int32_t MaskAssemblyPlugin::configurePlugin(
    const DynamicPluginTensorDesc* in, int32_t inputs, const DynamicPluginTensorDesc*, int32_t) noexcept
{
    YolactMaskAssemblyParams params{};
    return paramsFor(in, inputs, params) ? kSuccess : kRefused;
}

int32_t MaskAssemblyPlugin::onShapeChange(
    const PluginTensorDesc* in, int32_t inputs, const PluginTensorDesc*, int32_t) noexcept
{
    YolactMaskAssemblyParams params{};
    return paramsFor(in, inputs, params) ? kSuccess : kRefused;
}

int32_t MaskAssemblyPlugin::enqueue(
    const PluginTensorDesc* inputDescs, const PluginTensorDesc*, const void* const* inputs, void* const* outputs, void*,
    cudaStream_t stream) noexcept
{
    YolactMaskAssemblyParams params{};
    if (!paramsFor(inputDescs, kSignature.inputCount(), params)) {
        return kRefused;
    }
    YolactMaskAssemblyTensors tensors{};
    tensors.prototypes = inputs[kPrototypes];
    tensors.detection_coefficients = inputs[kDetectionCoefficients];
    tensors.boxes = static_cast<const float*>(inputs[kBoxes]);
    tensors.num_detections = static_cast<const int32_t*>(inputs[kNumDetections]);
    tensors.masks = static_cast<float*>(outputs[kMasks]);
    return enqueueStatus(kName, yolact_mask_assembly(&params, &tensors, stream));
}

const PluginFieldCollection* MaskAssemblyPlugin::getFieldsToSerialize() noexcept { return fields_.collection(); }

template <typename Inputs>
bool MaskAssemblyPlugin::paramsFor(const Inputs* inputs, int32_t count, YolactMaskAssemblyParams& params) const
{
    Sizes sizes;
    if (!kSignature.readSizes(inputs, count, sizes)) {
        return false;
    }
    params = smallest(settings_);
    params.batch = std::max(sizes['B'], 0);  // where it is open, the other sizes are what can be checked
    params.detections = sizes['D'];
    params.coefficients = sizes['K'];
    params.height = sizes['H'];
    params.width = sizes['W'];
    params.type = elementTypeOf(inputs[kPrototypes]);
    return isPossible(params);
}

MaskAssemblyCreator::MaskAssemblyCreator() : Creator(kSignature), fields_(attributesOf(settings_), FieldData::kNone) {}

IPluginV3* MaskAssemblyCreator::createPlugin(
    const char*, const PluginFieldCollection* fields, nvinfer1::TensorRTPhase) noexcept
{
    return orNull(kName, [fields]() -> IPluginV3* {
        MaskAssemblySettings settings;
        const bool possible = readAttributes(kName, attributesOf(settings), fields) && isPossible(smallest(settings));
        return possible ? new MaskAssemblyPlugin(settings) : nullptr;
    });
}

const PluginFieldCollection* MaskAssemblyCreator::getFieldNames() noexcept { return fields_.collection(); }

}  // namespace yolact
