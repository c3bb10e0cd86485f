#include "fast_nms/fast_nms_plugin.h"

#include <algorithm>

#include "tensorrt/diagnostics.h"

namespace yolact {
namespace {

using nvinfer1::DimsExprs;
using nvinfer1::DynamicPluginTensorDesc;
using nvinfer1::IPluginV3;
using nvinfer1::PluginFieldCollection;
using nvinfer1::PluginTensorDesc;

constexpr char kName[] = "YolactFastNms";

enum Input { kLocations, kConfidences, kCoefficients, kPriors };
enum Output { kNumDetections, kBoxes, kScores, kClasses, kDetectionCoefficients };

// L is the number of logits: the classes and the background.
constexpr TensorSpec kInputs[] = {
    {"locations", Element::kNetwork, "BP4"},
    {"confidences", Element::kNetwork, "BPL"},
    {"coefficients", Element::kNetwork, "BPK"},
    {"priors", Element::kFloat, "P4"},
};

constexpr TensorSpec kOutputs[] = {
    {"num_detections", Element::kInt32, "B1"},
    {"boxes", Element::kFloat, "BD4"},
    {"scores", Element::kFloat, "BD"},
    {"classes", Element::kInt32, "BD"},
    {"detection_coefficients", Element::kNetwork, "BDK"},
};

constexpr Signature kSignature(kName, kInputs, kOutputs);

Attributes attributesOf(YolactFastNmsParams& settings)
{
    return {
        {"score_threshold", settings.score_threshold},
        {"nms_threshold", settings.nms_threshold},
        {"top_k", settings.top_k},
        {"max_detections", settings.max_detections},
        {"cross_class", settings.cross_class},
        {"centre_variance", settings.centre_variance},
        {"size_variance", settings.size_variance},
    };
}

Sizes sizesOf(const YolactFastNmsParams& settings) { return {'D', settings.max_detections, "max_detections"}; }

bool isPossible(const YolactFastNmsParams& params)
{
    const char* problem = yolact_fast_nms_check(&params);
    return problem == nullptr || refuse("%s: %s", kName, problem);
}

// Sizes that always pass, to check the attributes before any tensor is known.
YolactFastNmsParams smallest()
{
    YolactFastNmsParams params{};
    params.priors = params.classes = params.coefficients = 1;
    return params;
}

}  // namespace

FastNmsPlugin::FastNmsPlugin(const YolactFastNmsParams& settings)
    : Plugin(kSignature), settings_(settings), fields_(attributesOf(settings_), FieldData::kValues)
{
}

IPluginV3* FastNmsPlugin::clone() noexcept
{
    return orNull(kName, [this] { return new FastNmsPlugin(settings_); });
}

int32_t FastNmsPlugin::getOutputShapes(
    const DimsExprs* inputShapes, int32_t inputs, const DimsExprs*, int32_t, DimsExprs* outputShapes, int32_t,
    nvinfer1::IExprBuilder& builder) noexcept
{
    YolactFastNmsParams params{};
    return paramsFor(inputShapes, inputs, params) &&
                   kSignature.outputShapes(inputShapes, inputs, sizesOf(settings_), outputShapes, builder)
               ? kSuccess
               : kRefused;
}

int32_t FastNmsPlugin::configurePlugin(
    const DynamicPluginTensorDesc* in, int32_t inputs, const DynamicPluginTensorDesc*, int32_t) noexcept
{
    YolactFastNmsParams params{};
    return paramsFor(in, inputs, params) ? kSuccess : kRefused;
}

size_t FastNmsPlugin::getWorkspaceSize(
    const DynamicPluginTensorDesc* in, int32_t inputs, const DynamicPluginTensorDesc*, int32_t) const noexcept
{
    YolactFastNmsParams params{};
    return paramsFor(in, inputs, params) ? yolact_fast_nms_workspace(&params) : 0;
}

int32_t FastNmsPlugin::onShapeChange(
    const PluginTensorDesc* in, int32_t inputs, const PluginTensorDesc*, int32_t) noexcept
{
    YolactFastNmsParams params{};
    return paramsFor(in, inputs, params) ? kSuccess : kRefused;
}

int32_t FastNmsPlugin::enqueue(
    const PluginTensorDesc* inputDescs, const PluginTensorDesc*, const void* const* inputs, void* const* outputs,
    void* workspace, cudaStream_t stream) noexcept
{
    YolactFastNmsParams params{};
    if (!paramsFor(inputDescs, kSignature.inputCount(), params)) {
        return kRefused;
    }
    YolactFastNmsTensors tensors{};
    tensors.locations = inputs[kLocations];
    tensors.confidences = inputs[kConfidences];
    tensors.coefficients = inputs[kCoefficients];
    tensors.priors = static_cast<const float*>(inputs[kPriors]);
    tensors.num_detections = static_cast<int32_t*>(outputs[kNumDetections]);
    tensors.boxes = static_cast<float*>(outputs[kBoxes]);
    tensors.scores = static_cast<float*>(outputs[kScores]);
    tensors.classes = static_cast<int32_t*>(outputs[kClasses]);
    tensors.detection_coefficients = outputs[kDetectionCoefficients];
    return enqueueStatus(kName, yolact_fast_nms(&params, &tensors, workspace, stream));
}

const PluginFieldCollection* FastNmsPlugin::getFieldsToSerialize() noexcept { return fields_.collection(); }

template <typename Inputs>
bool FastNmsPlugin::paramsFor(const Inputs* inputs, int32_t count, YolactFastNmsParams& params) const
{
    Sizes sizes = sizesOf(settings_);
    if (!kSignature.readSizes(inputs, count, sizes)) {
        return false;
    }
    params = settings_;
    params.batch = std::max(sizes['B'], 0);  // where it is open, the other sizes are what can be checked
    params.priors = sizes['P'];
    params.classes = sizes['L'] - 1;
    params.coefficients = sizes['K'];
    params.type = elementTypeOf(inputs[kLocations]);
    return isPossible(params);
}

FastNmsCreator::FastNmsCreator()
    : Creator(kSignature), settings_(smallest()), fields_(attributesOf(settings_), FieldData::kNone)
{
}

IPluginV3* FastNmsCreator::createPlugin(
    const char*, const PluginFieldCollection* fields, nvinfer1::TensorRTPhase) noexcept
{
    return orNull(kName, [fields]() -> IPluginV3* {
        YolactFastNmsParams settings = smallest();
        const bool possible = readAttributes(kName, attributesOf(settings), fields) && isPossible(settings);
        return possible ? new FastNmsPlugin(settings) : nullptr;
    });
}

const PluginFieldCollection* FastNmsCreator::getFieldNames() noexcept { return fields_.collection(); }

}  // namespace yolact
