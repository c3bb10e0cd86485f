#include "fast_nms/fast_nms_plugin.h"

namespace yolact {
namespace {

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

}  // namespace

constexpr Signature FastNms::kSignature("YolactFastNms", kInputs, kOutputs);

Attributes FastNms::attributes()
{
    return {
        {"score_threshold", settings_.score_threshold},
        {"nms_threshold", settings_.nms_threshold},
        {"top_k", settings_.top_k},
        {"max_detections", settings_.max_detections},
        {"cross_class", settings_.cross_class},
        {"centre_variance", settings_.centre_variance},
        {"size_variance", settings_.size_variance},
    };
}

Sizes FastNms::sizes() const { return {'D', settings_.max_detections, "max_detections"}; }

YolactFastNmsParams FastNms::params(const Sizes& sizes, int32_t type) const
{
    Params params = settings_;
    params.batch = sizes['B'];
    params.priors = sizes['P'];
    params.classes = sizes['L'] - 1;
    params.coefficients = sizes['K'];
    params.type = type;
    return params;
}

cudaError_t FastNms::enqueue(
    const Params& params, const void* const* inputs, void* const* outputs, void* workspace, cudaStream_t stream)
{
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
    return yolact_fast_nms(&params, &tensors, workspace, stream);
}

}  // namespace yolact
