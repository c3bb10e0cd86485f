#include "common/sentence.h"
#include "resize_pack/resize_pack.h"

using yolact::outside;
using yolact::sentence;

const char* yolact_resize_pack_check(const YolactImage* image, int32_t size)
{
    const struct {
        const char* name;
        int value, least, most;
    } ranges[] = {
        {"size", size, 1, YOLACT_RESIZE_PACK_MAX_SIZE},
        {"height", image->height, 1, YOLACT_RESIZE_PACK_MAX_SIDE},
        {"width", image->width, 1, YOLACT_RESIZE_PACK_MAX_SIDE},
        {"pixel_stride", image->pixel_stride, 1, 4},
        {"channels[0]", image->channels[0], 0, image->pixel_stride - 1},
        {"channels[1]", image->channels[1], 0, image->pixel_stride - 1},
        {"channels[2]", image->channels[2], 0, image->pixel_stride - 1},
    };
    for (const auto& range : ranges) {
        if (const char* complaint = outside(range.name, range.value, range.least, range.most)) {
            return complaint;
        }
    }
    const long long row = static_cast<long long>(image->width) * image->pixel_stride;
    constexpr long long kMost = 1LL << 38;  // so that height * row_stride is far below 2^63
    if (image->row_stride < row || image->row_stride > kMost) {
        return sentence(
            "row_stride must be width * pixel_stride = %lld to %lld, got %lld", row, kMost,
            static_cast<long long>(image->row_stride));
    }
    if (image->data == nullptr) {
        return "data must be the device address of an image, got a null pointer";
    }
    return nullptr;
}
