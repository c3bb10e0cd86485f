#include <cfloat>
#include <climits>

#include "common/sentence.h"
#include "fast_nms/fast_nms.h"

using yolact::outside;
using yolact::sentence;

namespace {

constexpr int kMaxBatch = 65535;          // blocks of a grid in y
constexpr int kMaxPriors = INT_MAX / 64;  // so that indices of an image's boxes and of blocks fit into an int

const char* checkSizes(const YolactFastNmsParams& p)
{
    const struct {
        const char* name;
        int value, least, most;
    } sizes[] = {
        {"batch", p.batch, 0, kMaxBatch},
        {"priors", p.priors, 1, kMaxPriors},
        {"classes", p.classes, 1, YOLACT_FAST_NMS_MAX_CLASSES},
        {"coefficients", p.coefficients, 1, INT_MAX / YOLACT_FAST_NMS_MAX_DETECTIONS},
        {"top_k", p.top_k, 1, YOLACT_FAST_NMS_MAX_TOP_K},
        {"max_detections", p.max_detections, 1, YOLACT_FAST_NMS_MAX_DETECTIONS},
        {"cross_class", p.cross_class, 0, 1},
        {"type", p.type, YOLACT_FLOAT32, YOLACT_BFLOAT16},
    };
    for (const auto& size : sizes) {
        if (const char* complaint = outside(size.name, size.value, size.least, size.most)) {
            return complaint;
        }
    }
    // The order of detections with equal scores is that of class * priors + prior, which must fit into 32 bits.
    if (static_cast<long long>(p.classes) * p.priors >= UINT_MAX) {
        return sentence("classes * priors must be below %u, got %d * %d", UINT_MAX, p.classes, p.priors);
    }
    return nullptr;
}

}  // namespace

const char* yolact_fast_nms_check(const YolactFastNmsParams* params)
{
    if (const char* complaint = checkSizes(*params)) {
        return complaint;
    }
    const struct {
        const char* name;
        float value;
        double least, most;
    } settings[] = {
        {"score_threshold", params->score_threshold, 0, 1},
        {"nms_threshold", params->nms_threshold, 0, 1},
        {"centre_variance", params->centre_variance, 0, FLT_MAX},
        {"size_variance", params->size_variance, 0, FLT_MAX},
    };
    for (const auto& setting : settings) {
        if (const char* complaint = outside(setting.name, setting.value, setting.least, setting.most)) {
            return complaint;
        }
    }
    return nullptr;
}
