/* From the heads of a YOLACT network to its detections: softmax, decoding, top-k per class, Fast NMS, global top-k,
 * gather of the mask coefficients.
 *
 * Detections come best first; of equal scores the lower class, then the lower prior (across classes: the lower prior).
 * Each score is a softmax probability; a prior is a candidate where its best class scores above the threshold, and then
 * takes part in every class (paper section 3.3, official layers/functions/detection.py). A prior with a NaN or +inf
 * logit is no candidate.
 */
#ifndef YOLACT_FAST_NMS_H
#define YOLACT_FAST_NMS_H

#include <cuda_runtime_api.h>
#include <stddef.h>
#include <stdint.h>

#include "common/element_type.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    YOLACT_FAST_NMS_MAX_CLASSES = 4096,
    YOLACT_FAST_NMS_MAX_TOP_K = 1024,
    YOLACT_FAST_NMS_MAX_DETECTIONS = 1024,
};

/* Sizes and settings. Symbols in brackets are used in the shapes below. */
typedef struct YolactFastNmsParams {
    int32_t batch;          /* [B] images, any number from 0 */
    int32_t priors;         /* [P] of each image, at least 1; classes * priors below 2^32 - 1 */
    int32_t classes;        /* [C] without the background, 1 to YOLACT_FAST_NMS_MAX_CLASSES */
    int32_t coefficients;   /* [K] of each prior, at least 1 */
    int32_t top_k;          /* candidates of a class that enter NMS, 1 to YOLACT_FAST_NMS_MAX_TOP_K */
    int32_t max_detections; /* [D] of an image, 1 to YOLACT_FAST_NMS_MAX_DETECTIONS */
    int32_t cross_class;    /* 0: classes apart; 1: one list of all candidates by their best class */
    int32_t type;           /* [T] a YolactElementType: of locations, confidences and both kinds of coefficients */
    float score_threshold;  /* candidates score above this, 0 to 1 */
    float nms_threshold;    /* a better box of the list that overlaps by more than this IoU suppresses, 0 to 1 */
    float centre_variance;  /* of the encoded centres, official 0.1 */
    float size_variance;    /* of the encoded sizes, official 0.2 */
} YolactFastNmsParams;

/* Device addresses of row-major arrays, each aligned to its elements; priors and boxes to 16 bytes. Entries of the
 * output arrays beyond the number of detections are zero.
 */
typedef struct YolactFastNmsTensors {
    const void* locations;        /* (B, P, 4) T, encoded offsets */
    const void* confidences;      /* (B, P, C + 1) T, logits, background first */
    const void* coefficients;     /* (B, P, K) T */
    const float* priors;          /* (P, 4) cxcywh relative to the network's input */
    int32_t* num_detections;      /* (B, 1) */
    float* boxes;                 /* (B, D, 4) xyxy relative to the network's input, not clamped */
    float* scores;                /* (B, D) */
    int32_t* classes;             /* (B, D) */
    void* detection_coefficients; /* (B, D, K) T */
} YolactFastNmsTensors;

/* NULL, or the sentence that says which of the params is out of its range and what it should be. */
const char* yolact_fast_nms_check(const YolactFastNmsParams* params);

/* Bytes of scratch memory that a call with these params needs. They grow with the batch and all sizes. */
size_t yolact_fast_nms_workspace(const YolactFastNmsParams* params);

/* Puts the work on the stream. It allocates nothing and waits for nothing, so it can be recorded in a CUDA graph.
 * The workspace must be aligned to 256 bytes, and nothing else may use it until the work is done. Returns
 * cudaErrorInvalidValue where yolact_fast_nms_check refuses the params, cudaErrorMisalignedAddress where priors, boxes
 * or the workspace are not aligned, else what the launches returned.
 */
cudaError_t yolact_fast_nms(
    const YolactFastNmsParams* params, const YolactFastNmsTensors* tensors, void* workspace, cudaStream_t stream);

#ifdef __cplusplus
}
#endif

#endif
