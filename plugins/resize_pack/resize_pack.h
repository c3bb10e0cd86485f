/* Stretches an image of any size to the network's square input. The bytes are those of
 * `yolact.runtime.images.preprocess`.
 */
#ifndef YOLACT_RESIZE_PACK_H
#define YOLACT_RESIZE_PACK_H

#include <cuda_runtime_api.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    YOLACT_RESIZE_PACK_MAX_SIDE = 1 << 24, /* pixels: positions are float32, as OpenCV's are, and tell these apart */
    YOLACT_RESIZE_PACK_MAX_SIZE = 1 << 14, /* pixels of the result */
};

/* One uint8 image and how its bytes lie. Channel c of pixel (y, x) is at data[y * row_stride + x * pixel_stride +
 * channels[c]], where c counts blue, green, red: BGR {0, 1, 2} stride 3, RGB {2, 1, 0} stride 3, BGRA {0, 1, 2}
 * stride 4, grey {0, 0, 0} stride 1.
 */
typedef struct YolactImage {
    const uint8_t* data; /* device address */
    int32_t height;      /* pixels, 1 to YOLACT_RESIZE_PACK_MAX_SIDE */
    int32_t width;
    int64_t row_stride;   /* bytes from one row to the next, width * pixel_stride to 2^38 */
    int32_t pixel_stride; /* bytes from one pixel to the next, 1 to 4, above every channel */
    int32_t channels[3];  /* byte of blue, green and red inside a pixel */
} YolactImage;

/* NULL, or the sentence that says what is wrong with the image or the size (from 1 to YOLACT_RESIZE_PACK_MAX_SIZE). The
 * sentence is valid until the thread's next check.
 */
const char* yolact_resize_pack_check(const YolactImage* image, int32_t size);

/* Writes (size, size, 3) uint8 BGR to the device address `output`, bilinear with half-pixel centres. Every byte is the
 * one that cv2.resize with INTER_LINEAR gives on x86-64 (OpenCV 4.10 to 5.0, with and without IPP): weights of 11 bits,
 * columns blended before rows, and the same roundings.
 * It puts the work on the stream, allocates nothing and waits for nothing. Returns cudaErrorInvalidValue where
 * yolact_resize_pack_check refuses the image or the size, else what the launch returned.
 */
cudaError_t yolact_resize_pack(const YolactImage* image, int32_t size, uint8_t* output, cudaStream_t stream);

#ifdef __cplusplus
}
#endif

#endif
