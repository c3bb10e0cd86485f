// One thread makes a column of pixels of a strip of rows, so it works out the horizontal position once for all of them.
// All arithmetic that decides a byte is OpenCV's: positions in double are rounded to float32, and after that all is
// integers.
#include "resize_pack/resize_pack.h"

#include <cmath>

#include "common/launch.cuh"

namespace yolact {
namespace {

constexpr int kThreads = 128;  // columns of a block
constexpr int kRows = 4;  // of a strip: so few that there are blocks enough for a large GPU at an input of 550 pixels

// Two neighbouring pixels on an axis and their weights, which are integers that sum to 2048.
struct Blend {
    int first, second;  // pixel
    int first_weight, second_weight;
};

// How many input pixels it is from one output pixel to the next. OpenCV inverts the ratio that it is asked for, so this
// rounds like that.
double scaleOf(int pixels, int size) { return 1.0 / (static_cast<double>(size) / pixels); }

// Where output pixel `index` of an axis falls between input pixels.
__device__ Blend blendAt(int index, double scale, int pixels)
{
    const float position = static_cast<float>((index + 0.5) * scale - 0.5);
    const int low = static_cast<int>(floorf(position));
    const float weight = position - static_cast<float>(low);
    Blend blend;  // beyond its edges the image repeats its last pixels
    blend.first = min(max(low, 0), pixels - 1);
    blend.second = min(low + 1, pixels - 1);
    blend.first_weight = static_cast<int>(rintf((1.0f - weight) * 2048.0f));
    blend.second_weight = static_cast<int>(rintf(weight * 2048.0f));
    return blend;
}

// image: any layout. output: (size, size, 3). Block (x, y): columns from x * kThreads on, rows from y * kRows on.
__global__ void resizePackKernel(YolactImage image, double row_scale, double column_scale, int size, uint8_t* output)
{
    __shared__ Blend rows[kRows];
    const int top = blockIdx.y * kRows;
    if (threadIdx.x < kRows) {
        rows[threadIdx.x] = blendAt(top + threadIdx.x, row_scale, image.height);
    }
    __syncthreads();

    const int x = blockIdx.x * kThreads + threadIdx.x;
    if (x >= size) {
        return;
    }
    const Blend column = blendAt(x, column_scale, image.width);
    const uint8_t* left = image.data + column.first * image.pixel_stride;
    const uint8_t* right = image.data + column.second * image.pixel_stride;
    for (int row = 0; row < kRows && top + row < size; ++row) {
        const Blend blend = rows[row];
        const int64_t upper = blend.first * image.row_stride;
        const int64_t lower = blend.second * image.row_stride;
        uint8_t* pixel = output + (static_cast<int64_t>(top + row) * size + x) * 3;  // output[top + row][x]
        for (int c = 0; c < 3; ++c) {
            const uint8_t* first = left + image.channels[c];
            const uint8_t* second = right + image.channels[c];
            const int above = first[upper] * column.first_weight + second[upper] * column.second_weight;
            const int below = first[lower] * column.first_weight + second[lower] * column.second_weight;
            // Each product is cut to 2 bits after the point on its own, as the reference's vector instructions do.
            const int sum = ((blend.first_weight * (above >> 4)) >> 16) + ((blend.second_weight * (below >> 4)) >> 16);
            pixel[c] = static_cast<uint8_t>((sum + 2) >> 2);
        }
    }
}

}  // namespace
}  // namespace yolact

cudaError_t yolact_resize_pack(const YolactImage* image, int32_t size, uint8_t* output, cudaStream_t stream)
{
    using namespace yolact;
    if (yolact_resize_pack_check(image, size) != nullptr) {
        return cudaErrorInvalidValue;
    }
    const dim3 grid((size + kThreads - 1) / kThreads, (size + kRows - 1) / kRows);
    const double row_scale = scaleOf(image->height, size), column_scale = scaleOf(image->width, size);
    return launch(resizePackKernel, grid, dim3(kThreads), 0, stream, *image, row_scale, column_scale, size, output);
}
