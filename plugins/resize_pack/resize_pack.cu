// A block makes a tile of kColumns x kRows pixels. It works out the positions of the tile's rows and columns once, each
// in a thread of its own: they take arithmetic in double, which most GPUs do at a sixty-fourth of float's speed. After
// that all is integers. A thread makes a column of kRowsOfThread rows and reads what it needs of the image for kAtOnce
// of them before it computes, so that its reads overlap. All arithmetic that decides a byte is OpenCV's: positions in
// double are rounded to float32.
#include "resize_pack/resize_pack.h"

#include <cmath>

#include "common/launch.cuh"

namespace yolact {
namespace {

constexpr int kColumns = 64, kRows = 16;  // of a tile: enough tiles for a large GPU at an input of 550 pixels
constexpr int kThreads = 128;
constexpr int kRowsOfThread = kColumns * kRows / kThreads;
constexpr int kAtOnce = 4;
static_assert(kColumns + kRows <= kThreads, "each position has a thread");
static_assert(kRowsOfThread % kAtOnce == 0);

// Two neighbouring pixels on an axis and their weights, which are integers that sum to 2048.
struct Blend {
    int first, second;  // pixel
    int first_weight, second_weight;
};

// The number of input pixels from one output pixel to the next. OpenCV inverts the ratio that it is asked for, so this
// rounds like that.
double scaleOf(int pixels, int size) { return 1.0 / (static_cast<double>(size) / pixels); }

// The place of output pixel `index` of an axis between input pixels.
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

// A column: its two pixels lie in `bytes` bytes from `start` on, and `weights` has the weight of the second in its
// upper half. Where the image repeats its last pixel, that one has all the weight.
struct Column {
    int start, bytes;
    unsigned weights;
};

__device__ Column columnOf(const Blend& blend, int pixel_stride)
{
    if (blend.first == blend.second) {
        return {
            blend.first * pixel_stride, pixel_stride, static_cast<unsigned>(blend.first_weight + blend.second_weight)};
    }
    const unsigned weights = blend.first_weight | blend.second_weight << 16;
    return {blend.first * pixel_stride, 2 * pixel_stride, weights};
}

// A row: where its two rows of the image start, and their weights.
struct Row {
    int64_t first, second;
    int first_weight, second_weight;
};

// The layout of an image for the kernel. Selectors choose four of a window's eight bytes: the first and second pixel's
// blue and green, and their red.
struct Source {
    YolactImage image;
    int64_t size;  // bytes of the image
    double row_scale, column_scale;
    unsigned blue_green, red;
};

// Whether every aligned word that has a byte of the row lies inside the image's bytes.
__device__ bool hasWholeWords(const Source& source, int64_t row)
{
    const uintptr_t data = reinterpret_cast<uintptr_t>(source.image.data);
    const int64_t end = row + static_cast<int64_t>(source.image.width) * source.image.pixel_stride;
    const int before = (data + row) & 3, behind = -(data + end) & 3;
    return row >= before && end + behind <= source.size;
}

// The bytes of a column's pixels in one row of the image.
struct Window {
    unsigned low, high;
};

template <bool kWords>
__device__ Window windowAt(const uint8_t* from, int bytes)
{
    if (!kWords) {
        uint64_t window = 0;
#pragma unroll 1
        for (int i = 0; i < bytes; ++i) {
            window |= static_cast<uint64_t>(from[i]) << (8 * i);
        }
        return {static_cast<unsigned>(window), static_cast<unsigned>(window >> 32)};
    }
    const unsigned skipped = reinterpret_cast<uintptr_t>(from) & 3;
    const unsigned* words = reinterpret_cast<const unsigned*>(from - skipped);
    const int last = (skipped + bytes - 1) / 4;  // word with a byte that is wanted
    const unsigned first = words[0], second = last >= 1 ? words[1] : 0, third = last >= 2 ? words[2] : 0;
    return {__funnelshift_r(first, second, 8 * skipped), __funnelshift_r(second, third, 8 * skipped)};
}

// Blue, green and red, blended horizontally: values times 2048.
struct Wide {
    unsigned values[3];
};

__device__ Wide blendColumns(const Window& window, const Source& source, unsigned weights)
{
    const unsigned blue_green = __byte_perm(window.low, window.high, source.blue_green);
    const unsigned red = __byte_perm(window.low, window.high, source.red);
    return {__dp2a_lo(weights, blue_green, 0u), __dp2a_hi(weights, blue_green, 0u), __dp2a_lo(weights, red, 0u)};
}

// Writes kRowsOfThread rows of a column, or as many as the output has. `pixel`: of the first row.
template <bool kWords>
__device__ void makeColumn(
    const Source& source, const Row* rows, const Column& column, int count, int size, uint8_t* pixel)
{
    constexpr int kEach = kWords ? kAtOnce : 1;
    const uint8_t* from = source.image.data + column.start;
    for (int start = 0; start < count; start += kEach) {
        Window above[kEach], below[kEach];
#pragma unroll
        for (int i = 0; i < kEach; ++i) {  // past the last row of the output they are those of the last row again
            above[i] = windowAt<kWords>(from + rows[start + i].first, column.bytes);
            below[i] = windowAt<kWords>(from + rows[start + i].second, column.bytes);
        }
#pragma unroll
        for (int i = 0; i < kEach; ++i) {
            const Wide upper = blendColumns(above[i], source, column.weights);
            const Wide lower = blendColumns(below[i], source, column.weights);
            const unsigned first = rows[start + i].first_weight, second = rows[start + i].second_weight;
            if (start + i < count) {
#pragma unroll
                for (int c = 0; c < 3; ++c) {
                    // Each product is cut to 2 bits after the point on its own, as the reference's vector instructions
                    // do.
                    const unsigned sum =
                        (first * (upper.values[c] >> 4) >> 16) + (second * (lower.values[c] >> 4) >> 16);
                    pixel[c] = static_cast<uint8_t>((sum + 2) >> 2);
                }
            }
            pixel += 3 * size;
        }
    }
}

// output: (size, size, 3). Block (x, y): columns from x * kColumns on, rows from y * kRows on.
__global__ void __launch_bounds__(kThreads) resizePackKernel(Source source, int size, uint8_t* output)
{
    __shared__ Row rows[kRows];
    __shared__ Column columns[kColumns];
    const YolactImage& image = source.image;
    const int left = blockIdx.x * kColumns, top = blockIdx.y * kRows, thread = threadIdx.x;
    bool words = true;
    if (thread < kColumns + kRows) {
        const bool of_row = thread >= kColumns;
        const int index = of_row ? min(top + thread - kColumns, size - 1) : left + thread;
        const Blend blend =
            blendAt(index, of_row ? source.row_scale : source.column_scale, of_row ? image.height : image.width);
        if (of_row) {
            const Row row{
                blend.first * image.row_stride, blend.second * image.row_stride, blend.first_weight,
                blend.second_weight};
            rows[thread - kColumns] = row;
            words = hasWholeWords(source, row.first) && hasWholeWords(source, row.second);
        } else {
            columns[thread] = columnOf(blend, image.pixel_stride);
        }
    }
    const bool bytes = __syncthreads_or(!words);  // the same in all threads

    const int x = left + thread % kColumns, start = thread / kColumns * kRowsOfThread;
    const int count = min(kRowsOfThread, size - top - start);
    if (x >= size) {
        return;
    }
    const Column column = columns[thread % kColumns];
    uint8_t* pixel = output + (static_cast<int64_t>(top + start) * size + x) * 3;  // output[top + start][x]
    if (bytes) {
        makeColumn<false>(source, rows + start, column, count, size, pixel);
    } else {
        makeColumn<true>(source, rows + start, column, count, size, pixel);
    }
}

// Bytes 0 and 1 of a number that __byte_perm takes choose a channel of the first and the second pixel of a window.
unsigned bothPixels(int channel, int pixel_stride) { return channel | (pixel_stride + channel) << 4; }

Source sourceOf(const YolactImage& image, int size)
{
    Source source{};
    source.image = image;
    source.size = (image.height - 1) * image.row_stride + static_cast<int64_t>(image.width) * image.pixel_stride;
    source.row_scale = scaleOf(image.height, size);
    source.column_scale = scaleOf(image.width, size);
    const auto selector = [&](int c) { return bothPixels(image.channels[c], image.pixel_stride); };
    source.blue_green = selector(0) | selector(1) << 8;
    source.red = selector(2);
    return source;
}

}  // namespace
}  // namespace yolact

cudaError_t yolact_resize_pack(const YolactImage* image, int32_t size, uint8_t* output, cudaStream_t stream)
{
    using namespace yolact;
    if (yolact_resize_pack_check(image, size) != nullptr) {
        return cudaErrorInvalidValue;
    }
    const dim3 grid((size + kColumns - 1) / kColumns, (size + kRows - 1) / kRows);
    return launch(resizePackKernel, grid, dim3(kThreads), 0, stream, sourceOf(*image, size), size, output);
}
