/* Mask probabilities of detections: sigmoid of the prototypes' linear combination inside the box, zero outside.
 * Source: paper equation 1; official layers/output_utils.py `postprocess` and layers/box_utils.py `crop`.
 */
#ifndef YOLACT_MASK_ASSEMBLY_H
#define YOLACT_MASK_ASSEMBLY_H

#include <cuda_runtime_api.h>
#include <stdint.h>

#include "common/element_type.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { YOLACT_MASK_ASSEMBLY_MAX_COEFFICIENTS = 256 };

/* Sizes and settings. Symbols in brackets are used in the shapes below. */
typedef struct YolactMaskAssemblyParams {
    int32_t batch;        /* [B] images, any number from 0 */
    int32_t detections;   /* [D] rows of each image, at least 1 */
    int32_t coefficients; /* [K] of each detection, and prototypes: 1 to YOLACT_MASK_ASSEMBLY_MAX_COEFFICIENTS */
    int32_t height;       /* [Hp] of the prototypes, at least 1; K * Hp * Wp and D * Hp * Wp at most 2^30 */
    int32_t width;        /* [Wp] */
    int32_t type;         /* [T] a YolactElementType: of prototypes and coefficients */
    float crop_padding;   /* cells that the crop keeps around the box on each side, at least 0; official 1 */
} YolactMaskAssemblyParams;

/* Device addresses of row-major arrays, each aligned to its elements; boxes to 16 bytes. */
typedef struct YolactMaskAssemblyTensors {
    const void* prototypes;             /* (B, K, Hp, Wp) T */
    const void* detection_coefficients; /* (B, D, K) T */
    const float* boxes;                 /* (B, D, 4) xyxy relative to the network's input */
    const int32_t* num_detections;      /* (B, 1): rows that count; the others' masks are zero */
    float* masks;                       /* (B, D, Hp, Wp) */
} YolactMaskAssemblyTensors;

/* NULL, or the sentence that says which of the params is out of its range and what it should be. */
const char* yolact_mask_assembly_check(const YolactMaskAssemblyParams* params);

/* Puts the work on the stream. It allocates nothing and waits for nothing, so it can be recorded in a CUDA graph.
 * Returns cudaErrorInvalidValue where yolact_mask_assembly_check refuses the params, cudaErrorMisalignedAddress where
 * boxes are not aligned, else what the launch returned.
 */
cudaError_t yolact_mask_assembly(
    const YolactMaskAssemblyParams* params, const YolactMaskAssemblyTensors* tensors, cudaStream_t stream);

#ifdef __cplusplus
}
#endif

#endif
