// Three kernels: findCandidates finds the candidates of each image, suppressWithinLists does Fast NMS within each list
// of candidates, keepBest keeps the best survivors of each image. An image has L lists: one for each class, so L = C,
// or with cross_class a single one. fast_nms.h explains the shapes B, P, C, K, D and the type T.
#include "fast_nms/fast_nms.h"

#include "common/elements.cuh"
#include "common/launch.cuh"
#include "fast_nms/find_candidates.cuh"
#include "fast_nms/keep_best.cuh"
#include "fast_nms/suppress_within_lists.cuh"

namespace yolact {
namespace {

template <typename T>
cudaError_t launchFindCandidates(
    const YolactFastNmsParams& p, const YolactFastNmsTensors& t, const Scratch& scratch, cudaStream_t stream)
{
    const size_t row_bytes = (p.classes + 1) * sizeof(T);
    const RowShape shape = shapeOf(row_bytes);
    const dim3 grid((p.priors + shape.rows - 1) / shape.rows, p.batch);
    const size_t shared = shape.rows * row_bytes + 16;  // `stage` may start the copy up to 15 bytes later
    return launch(findCandidates<T>, grid, shape.rows << shape.lane_bits, shared, stream, p, t, scratch, shape);
}

template <typename T>
cudaError_t launchSuppressWithinLists(
    const YolactFastNmsParams& p, const YolactFastNmsTensors& t, const Scratch& scratch, bool second,
    cudaStream_t stream)
{
    const int depth = depthOf(p), capacity = TopK::bufferSize(depth, kListThreads);
    const size_t shared = capacity * sizeof(uint64_t) + depth * (sizeof(float4) + sizeof(float));
    const dim3 grid(listsOf(p), p.batch);
    return launch(suppressWithinLists<T>, grid, kListThreads, shared, stream, p, t, scratch, depth, capacity, second);
}

template <typename T>
cudaError_t launchAll(
    const YolactFastNmsParams& p, const YolactFastNmsTensors& t, const Scratch& scratch, cudaStream_t stream)
{
    if (cudaError_t error = cudaMemsetAsync(scratch.images, 0, p.batch * sizeof(ImageState), stream)) {
        return error;
    }
    if (cudaError_t error = launchFindCandidates<T>(p, t, scratch, stream)) {
        return error;
    }
    for (int pass = 0; pass < (p.cross_class ? 1 : 2); ++pass) {  // a single list is ranked as a whole in the first
        if (cudaError_t error = launchSuppressWithinLists<T>(p, t, scratch, pass > 0, stream)) {
            return error;
        }
    }
    const int lists = listsOf(p), capacity = TopK::bufferSize(p.max_detections, kImageThreads);
    const size_t shared = capacity * sizeof(uint64_t) + lists * sizeof(uint16_t);
    return launch(
        keepBest<T>, p.batch, kImageThreads, shared, stream, p, t, scratch, lists, roomOf(p, depthOf(p)), capacity);
}

}  // namespace
}  // namespace yolact

size_t yolact_fast_nms_workspace(const YolactFastNmsParams* params) { return yolact::carve(*params, nullptr).bytes; }

cudaError_t yolact_fast_nms(
    const YolactFastNmsParams* params, const YolactFastNmsTensors* tensors, void* workspace, cudaStream_t stream)
{
    if (yolact_fast_nms_check(params) != nullptr) {
        return cudaErrorInvalidValue;
    }
    if (params->batch == 0) {
        return cudaSuccess;
    }
    if (!yolact::isAligned(tensors->priors, 16) || !yolact::isAligned(tensors->boxes, 16) ||
        !yolact::isAligned(workspace, 256)) {
        return cudaErrorMisalignedAddress;
    }
    const yolact::Scratch scratch = yolact::carve(*params, workspace);
    return yolact::withElementType(params->type, [&](auto element) {
        return yolact::launchAll<decltype(element)>(*params, *tensors, scratch, stream);
    });
}
