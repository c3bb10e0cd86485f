#include <cfloat>
#include <climits>

#include "common/sentence.h"
#include "mask_assembly/mask_assembly.h"

using yolact::outside;
using yolact::sentence;

const char* yolact_mask_assembly_check(const YolactMaskAssemblyParams* params)
{
    const YolactMaskAssemblyParams& p = *params;
    constexpr int kMaxGrid = 65535;  // blocks in y and z
    const struct {
        const char* name;
        int value, least, most;
    } sizes[] = {
        {"batch", p.batch, 0, kMaxGrid},
        {"detections", p.detections, 1, kMaxGrid},
        {"coefficients", p.coefficients, 1, YOLACT_MASK_ASSEMBLY_MAX_COEFFICIENTS},
        {"height", p.height, 1, INT_MAX},
        {"width", p.width, 1, INT_MAX},
        {"type", p.type, YOLACT_FLOAT32, YOLACT_BFLOAT16},
    };
    for (const auto& size : sizes) {
        if (const char* complaint = outside(size.name, size.value, size.least, size.most)) {
            return complaint;
        }
    }
    const long long cells = static_cast<long long>(p.height) * p.width;
    constexpr int kMost = 1 << 30;  // leaves room to round cells up to whole blocks
    if (cells > kMost / p.coefficients || cells > kMost / p.detections) {
        return sentence(
            "height * width times the coefficients or detections must be at most 2^30, got %d * %d, %d, %d", p.height,
            p.width, p.coefficients, p.detections);
    }
    return outside("crop_padding", p.crop_padding, 0.0, FLT_MAX);
}
