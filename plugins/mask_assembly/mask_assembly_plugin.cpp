#include "mask_assembly/mask_assembly_plugin.h"

namespace yolact {
namespace {

enum Input { kPrototypes, kDetectionCoefficients, kBoxes, kNumDetections };
enum Output { kMasks };

constexpr TensorSpec kInputs[] = {
    {"prototypes", Element::kNetwork, "BKHW"},
    {"detection_coefficients", Element::kNetwork, "BDK"},
    {"boxes", Element::kFloat, "BD4"},
    {"num_detections", Element::kInt32, "B1"},
};

constexpr TensorSpec kOutputs[] = {{"masks", Element::kFloat, "BDHW"}};

}  // namespace

constexpr Signature MaskAssembly::kSignature("YolactMaskAssembly", kInputs, kOutputs);

Attributes MaskAssembly::attributes() { return {{"crop_padding", crop_padding_}}; }

YolactMaskAssemblyParams MaskAssembly::params(const Sizes& sizes, int32_t type) const
{
    Params params{};
    params.batch = sizes['B'];
    params.detections = sizes['D'];
    params.coefficients = sizes['K'];
    params.height = sizes['H'];
    params.width = sizes['W'];
    params.type = type;
    params.crop_padding = static_cast<float>(crop_padding_);
    return params;
}

cudaError_t MaskAssembly::enqueue(
    const Params& params, const void* const* inputs, void* const* outputs, void*, cudaStream_t stream)
{
    YolactMaskAssemblyTensors tensors{};
    tensors.prototypes = inputs[kPrototypes];
    tensors.detection_coefficients = inputs[kDetectionCoefficients];
    tensors.boxes = static_cast<const float*>(inputs[kBoxes]);
    tensors.num_detections = static_cast<const int32_t*>(inputs[kNumDetections]);
    tensors.masks = static_cast<float*>(outputs[kMasks]);
    return yolact_mask_assembly(&params, &tensors, stream);
}

}  // namespace yolact
