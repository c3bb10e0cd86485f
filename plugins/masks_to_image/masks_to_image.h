/* Masks at prototype resolution to bits at image resolution, each inside its own region: upsampling and threshold in
 * one, so that no float mask of image size exists. The same bits as
 * `yolact.runtime.images.geometry.ImageTransform.upsample_mask`.
 */
#ifndef YOLACT_MASKS_TO_IMAGE_H
#define YOLACT_MASKS_TO_IMAGE_H

#include <cuda_runtime_api.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* With these, positions in units of half a pixel fit in 31 bits and their weights are correctly rounded float32. */
enum {
    YOLACT_MASKS_TO_IMAGE_MAX_CELLS = 1 << 12,
    YOLACT_MASKS_TO_IMAGE_MAX_PIXELS = 1 << 18,
};

/* Sizes. Symbols in brackets are used in the shapes below. */
typedef struct YolactMasksToImageParams {
    int32_t detections;   /* [D] masks to make, any number from 0 */
    int32_t height;       /* [Hp] of the masks, 1 to YOLACT_MASKS_TO_IMAGE_MAX_CELLS */
    int32_t width;        /* [Wp] */
    int32_t image_height; /* [H] pixels, 1 to YOLACT_MASKS_TO_IMAGE_MAX_PIXELS */
    int32_t image_width;  /* [W] */
    int64_t bytes;        /* of `bits`; what would lie beyond is not written */
} YolactMasksToImageParams;

/* Device addresses.
 *
 * regions: (D, 4) int32 top, left, bottom, right: the pixels of the image that each mask is wanted for, clamped to the
 *     image; one without pixels gives no bits.
 * offsets: (D) int64, where in `bits` each region starts. A region of h x w pixels is h rows of (w + 7) / 8 bytes, most
 *     significant bit first, as numpy.packbits writes them; the bits past the width are 0.
 */
typedef struct YolactMasksToImageTensors {
    const float* masks; /* (D, Hp, Wp) probabilities */
    const int32_t* regions;
    const int64_t* offsets;
    uint8_t* bits; /* (bytes) */
} YolactMasksToImageTensors;

/* NULL, or the sentence that says which of the params is out of its range and what it should be. The sentence lasts
 * until the thread's next check.
 */
const char* yolact_masks_to_image_check(const YolactMasksToImageParams* params);

/* Puts the work on a stream; nothing is allocated and nothing waits. Returns cudaErrorInvalidValue where
 * yolact_masks_to_image_check has something to say, else what launching gave.
 */
cudaError_t yolact_masks_to_image(
    const YolactMasksToImageParams* params, const YolactMasksToImageTensors* tensors, cudaStream_t stream);

#ifdef __cplusplus
}
#endif

#endif
