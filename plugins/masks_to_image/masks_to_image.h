/* Turns masks at prototype resolution into bits at image resolution, each mask inside a region of its own. Upsampling
 * and threshold are one step, so no float mask of image size exists. The bits are those of
 * `yolact.runtime.images.geometry.ImageTransform.upsample_mask`.
 */
#ifndef YOLACT_MASKS_TO_IMAGE_H
#define YOLACT_MASKS_TO_IMAGE_H

#include <cuda_runtime_api.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Within these limits positions in units of half a pixel fit in 31 bits, and their weights are correctly rounded
 * float32.
 */
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
    int64_t bytes;        /* of `bits`; nothing is written beyond them */
} YolactMasksToImageParams;

/* Device addresses.
 *
 * regions: (D, 4) int32 top, left, bottom, right: the pixels of the image that each mask is wanted for. A region is
 *     clamped to the image; where no pixels are left it gives no bits.
 * offsets: (D) int64, where in `bits` each region starts. A region of h x w pixels is h rows of (w + 7) / 8 bytes, most
 *     significant bit first, as numpy.packbits writes them; the bits past the width are 0.
 */
typedef struct YolactMasksToImageTensors {
    const float* masks; /* (D, Hp, Wp) probabilities */
    const int32_t* regions;
    const int64_t* offsets;
    uint8_t* bits; /* (bytes) */
} YolactMasksToImageTensors;

/* NULL, or the sentence that says which of the params is out of its range and what it should be. The sentence is valid
 * until the thread's next check.
 */
const char* yolact_masks_to_image_check(const YolactMasksToImageParams* params);

/* Puts the work on the stream. It allocates nothing and waits for nothing. Returns cudaErrorInvalidValue where
 * yolact_masks_to_image_check refuses the params, else what the launch returned.
 */
cudaError_t yolact_masks_to_image(
    const YolactMasksToImageParams* params, const YolactMasksToImageTensors* tensors, cudaStream_t stream);

#ifdef __cplusplus
}
#endif

#endif
