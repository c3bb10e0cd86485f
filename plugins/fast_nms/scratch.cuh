// Scratch memory through which the kernels of Fast NMS pass results on.
#pragma once

#include "common/workspace.h"
#include "fast_nms/fast_nms.h"
#include "fast_nms/score_bins.cuh"

namespace yolact {

// State of one image. All is 0 before the first kernel.
struct alignas(16) ImageState {
    int candidates;
    int best_survivors;  // of the first pass over the lists, which ranks the best pairs of candidate and class only
    int undecided;       // 1: some list has more to rank than the first pass did
    int unused;
    int pairs[kBins];      // of candidate and class, by score; not counted with cross_class
    int survivors[kBins];  // of all lists so far, by score
};

// Statistics of a candidate's logits for the later kernels.
struct alignas(16) Statistics {
    float largest_logit;  // of all classes and the background
    float exponentials;   // sum of exp(logit - largest_logit): the softmax's denominator
    int best_class;       // filled with cross_class only
    int prior;
};

struct Scratch {
    ImageState* images;      // (B)
    Statistics* candidates;  // (B, P): of each image's candidates, in any order
    float4* boxes;           // (B, P) xyxy: filled at the priors of candidates
    int* best_classes;       // (B, P): filled like the boxes; with cross_class only
    int* kept;               // (B, L): survivors of each list
    uint64_t* survivors;     // (B, L, room): keys with the id list * P + prior, each list's best first
    size_t bytes;
};

inline int listsOf(const YolactFastNmsParams& p) { return p.cross_class ? 1 : p.classes; }
inline int depthOf(const YolactFastNmsParams& p) { return p.top_k < p.priors ? p.top_k : p.priors; }

// The most survivors of a list that may be among the image's best.
__host__ __device__ inline int roomOf(const YolactFastNmsParams& p, int depth)
{
    return depth < p.max_detections ? depth : p.max_detections;
}

inline Scratch carve(const YolactFastNmsParams& p, void* workspace)
{
    WorkspaceCarver carver(workspace);
    const size_t images = p.batch, rows = images * p.priors, lists = images * listsOf(p);
    Scratch scratch{};
    scratch.images = carver.take<ImageState>(images);
    scratch.candidates = carver.take<Statistics>(rows);
    scratch.boxes = carver.take<float4>(rows);
    scratch.best_classes = carver.take<int>(p.cross_class ? rows : 0);
    scratch.kept = carver.take<int>(lists);
    scratch.survivors = carver.take<uint64_t>(lists * roomOf(p, depthOf(p)));
    scratch.bytes = carver.bytes();
    return scratch;
}

}  // namespace yolact
