#include <climits>

#include "common/sentence.h"
#include "masks_to_image/masks_to_image.h"

const char* yolact_masks_to_image_check(const YolactMasksToImageParams* params)
{
    const YolactMasksToImageParams& p = *params;
    const struct {
        const char* name;
        int value, least, most;
    } sizes[] = {
        {"detections", p.detections, 0, INT_MAX},
        {"height", p.height, 1, YOLACT_MASKS_TO_IMAGE_MAX_CELLS},
        {"width", p.width, 1, YOLACT_MASKS_TO_IMAGE_MAX_CELLS},
        {"image_height", p.image_height, 1, YOLACT_MASKS_TO_IMAGE_MAX_PIXELS},
        {"image_width", p.image_width, 1, YOLACT_MASKS_TO_IMAGE_MAX_PIXELS},
    };
    for (const auto& size : sizes) {
        if (const char* complaint = yolact::outside(size.name, size.value, size.least, size.most)) {
            return complaint;
        }
    }
    if (p.bytes < 0) {
        return yolact::sentence("bytes must be at least 0, got %lld", static_cast<long long>(p.bytes));
    }
    return nullptr;
}
