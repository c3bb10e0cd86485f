// Three kernels: findCandidates finds the candidates of each image, suppressWithinLists does Fast NMS within each list
// of candidates, keepBest keeps the best survivors of each image. An image has L lists: one for each class, so L = C,
// or with cross_class a single one. fast_nms.h explains the shapes B, P, C, K, D and the type T.
#include "fast_nms/fast_nms.h"

#include <math.h>

#include "common/elements.cuh"
#include "common/launch.cuh"
#include "common/top_k.cuh"
#include "common/workspace.h"

namespace yolact {
namespace {

constexpr unsigned kAllLanes = 0xffffffffu;
constexpr int kWarp = 32;
constexpr int kScoreThreads = 256;
constexpr int kMaxRows = 64;              // priors per block of findCandidates
constexpr size_t kStageBytes = 24 << 10;  // of logits per block: every multiprocessor has room for two blocks or more
constexpr int kListThreads = 256;
constexpr int kImageThreads = 512;

// What the later kernels need to know of a candidate. Arrays of candidates have the index (image, prior).
struct alignas(16) Candidate {
    float4 box;           // xyxy
    float largest_logit;  // of all classes and the background
    float exponentials;   // sum of exp(logit - largest_logit): the softmax's denominator
    int best_class;
    int unused;
};

struct Counts {
    int candidates, survivors;
};

struct Scratch {
    Counts* counts;         // (B)
    int* candidate_priors;  // (B, P): the priors of each image's candidates, in any order
    Candidate* candidates;  // (B, P): filled at the priors that candidate_priors names
    uint64_t* survivors;    // (B, L * depth): keys with the id list * P + prior, in any order
    size_t bytes;
};

int listsOf(const YolactFastNmsParams& p) { return p.cross_class ? 1 : p.classes; }
int depthOf(const YolactFastNmsParams& p) { return p.top_k < p.priors ? p.top_k : p.priors; }

Scratch carve(const YolactFastNmsParams& p, void* workspace)
{
    WorkspaceCarver carver(workspace);
    const size_t images = p.batch, rows = images * p.priors;
    Scratch scratch{};
    scratch.counts = carver.take<Counts>(images);
    scratch.candidate_priors = carver.take<int>(rows);
    scratch.candidates = carver.take<Candidate>(rows);
    scratch.survivors = carver.take<uint64_t>(images * listsOf(p) * depthOf(p));
    scratch.bytes = carver.bytes();
    return scratch;
}

// Copies n elements into shared memory, most of them 16 bytes at a time. For that the copy must start as many bytes
// after a multiple of 16 as the source does.
template <typename T>
__device__ const T* stage(const T* source, int n, unsigned char* shared)
{
    constexpr int kPerVector = 16 / sizeof(T);
    const int shift = static_cast<int>(reinterpret_cast<uintptr_t>(source) % 16 / sizeof(T));
    T* copy = reinterpret_cast<T*>(shared) + shift;
    const int head = min(n, (kPerVector - shift) % kPerVector);
    const int vectors = (n - head) / kPerVector;
    for (int i = threadIdx.x; i < head; i += blockDim.x) {
        copy[i] = source[i];
    }
    for (int i = threadIdx.x; i < vectors; i += blockDim.x) {
        reinterpret_cast<uint4*>(copy + head)[i] = reinterpret_cast<const uint4*>(source + head)[i];
    }
    for (int i = head + vectors * kPerVector + threadIdx.x; i < n; i += blockDim.x) {
        copy[i] = source[i];
    }
    __syncthreads();
    return copy;
}

__device__ float maxOfLanes(float value, int lanes)
{
    for (int bits = lanes / 2; bits > 0; bits /= 2) {
        value = fmaxf(value, __shfl_xor_sync(kAllLanes, value, bits));
    }
    return value;
}

__device__ float sumOfLanes(float value, int lanes)
{
    for (int bits = lanes / 2; bits > 0; bits /= 2) {
        value += __shfl_xor_sync(kAllLanes, value, bits);
    }
    return value;
}

struct RowScore {
    bool is_candidate;
    float largest_logit, exponentials;
    int best_class;
};

// The softmax statistics of a row of C + 1 logits, worked out by `lanes` neighbouring threads together. All threads of
// the warp must call this. A row with a NaN is no candidate: fmaxf ignores the NaN, but the sum of exponentials becomes
// NaN, and so does the probability, of which `probability > threshold` is false. A row with +infinity is no candidate
// either, because the exponential of infinity minus infinity is NaN.
template <typename T>
__device__ RowScore scoreRow(const T* row, const YolactFastNmsParams& p, int lane, int lanes)
{
    float best = -INFINITY;
    for (int c = lane; c < p.classes; c += lanes) {
        best = fmaxf(best, toFloat(row[1 + c]));
    }
    best = maxOfLanes(best, lanes);
    const float largest = fmaxf(best, toFloat(row[0]));
    const float numerator = expf(best - largest);
    RowScore score{false, largest, 1, 0};
    // The sum of exponentials is at least 1, so the probability is at most the numerator. That is enough to reject
    // nearly all priors, which are background.
    if (!__any_sync(kAllLanes, numerator > p.score_threshold)) {
        return score;
    }
    float sum = 0;
    for (int c = lane; c <= p.classes; c += lanes) {
        sum += expf(toFloat(row[c]) - largest);
    }
    score.exponentials = sumOfLanes(sum, lanes);
    const float probability = numerator / score.exponentials;
    score.is_candidate = probability > p.score_threshold;
    if (p.cross_class) {  // the first class with the largest probability: different logits may round to the same one
        int first = p.classes;
        for (int c = p.classes - 1 - lane; c >= 0; c -= lanes) {
            first = expf(toFloat(row[1 + c]) - largest) / score.exponentials == probability ? c : first;
        }
        for (int bits = lanes / 2; bits > 0; bits /= 2) {
            first = min(first, __shfl_xor_sync(kAllLanes, first, bits));
        }
        score.best_class = first;
    }
    return score;
}

// `decode` of the official layers/box_utils.py. The operations have the order of runtime/postprocess/nms.py, so they
// round alike.
template <typename T>
__device__ float4 decodeBox(const T* location, float4 prior, const YolactFastNmsParams& p)
{
    const float centre_x = prior.x + toFloat(location[0]) * p.centre_variance * prior.z;
    const float centre_y = prior.y + toFloat(location[1]) * p.centre_variance * prior.w;
    const float width = prior.z * expf(toFloat(location[2]) * p.size_variance);
    const float height = prior.w * expf(toFloat(location[3]) * p.size_variance);
    const float left = centre_x - width / 2, top = centre_y - height / 2;
    return make_float4(left, top, left + width, top + height);
}

// Grid (ceil(P / rows), B), blocks of rows * lanes threads. Dynamic shared memory: the logits of the block's rows.
template <typename T>
__global__ void __launch_bounds__(kScoreThreads)
    findCandidates(YolactFastNmsParams p, YolactFastNmsTensors t, Scratch scratch, int rows, int lanes)
{
    __shared__ int priors[kMaxRows];
    __shared__ int found, base;
    const int image = blockIdx.y, first = blockIdx.x * rows;
    const int count = min(rows, p.priors - first), width = p.classes + 1;
    const size_t start = static_cast<size_t>(image) * p.priors + first;  // index (image, first)
    if (threadIdx.x == 0) {
        found = 0;
    }
    const T* logits = stage(static_cast<const T*>(t.confidences) + start * width, count * width, dynamicShared());

    const int row = threadIdx.x / lanes, lane = threadIdx.x % lanes;
    const bool exists = row < count;
    const RowScore score = scoreRow(logits + (exists ? row : 0) * width, p, lane, lanes);
    if (exists && score.is_candidate && lane == 0) {
        const T* location = static_cast<const T*>(t.locations) + (start + row) * 4;
        const float4 prior = reinterpret_cast<const float4*>(t.priors)[first + row];
        scratch.candidates[start + row] = {
            decodeBox(location, prior, p), score.largest_logit, score.exponentials, score.best_class, 0};
        priors[atomicAdd(&found, 1)] = first + row;
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        base = atomicAdd(&scratch.counts[image].candidates, found);
    }
    __syncthreads();
    for (int i = threadIdx.x; i < found; i += blockDim.x) {
        scratch.candidate_priors[static_cast<size_t>(image) * p.priors + base + i] = priors[i];
    }
}

__device__ float areaOf(float4 box) { return (box.z - box.x) * (box.w - box.y); }

// Whether the IoU is above the threshold or NaN. It is NaN for two boxes without area, and in the official code too
// such boxes suppress each other.
__device__ bool suppresses(float4 better, float better_area, float4 box, float area, float threshold)
{
    const float width = fmaxf(fminf(better.z, box.z) - fmaxf(better.x, box.x), 0.0f);
    const float height = fmaxf(fminf(better.w, box.w) - fmaxf(better.y, box.y), 0.0f);
    const float intersection = width * height;
    const float all = better_area + area - intersection;
    if (intersection == 0 && all > 0) {  // so it is for most pairs, which are spared the division
        return false;
    }
    return !(intersection / all <= threshold);
}

// The `count` keys come best first. A key becomes 0 where its box overlaps too much with the box of any better key; as
// always in Fast NMS, that better one may be suppressed itself. A warp takes one box and compares it with 32 better
// ones at a time.
__device__ void suppressKeys(uint64_t* keys, const float4* boxes, const float* areas, int count, float threshold)
{
    const int lane = threadIdx.x % kWarp;
    for (int rank = threadIdx.x / kWarp; rank < count; rank += blockDim.x / kWarp) {
        bool suppressed = false;
        for (int start = 0; start < rank && !suppressed; start += kWarp) {
            const int better = start + lane;
            const bool mine =
                better < rank && suppresses(boxes[better], areas[better], boxes[rank], areas[rank], threshold);
            suppressed = __any_sync(kAllLanes, mine);
        }
        if (suppressed && lane == 0) {
            keys[rank] = 0;
        }
    }
    __syncthreads();
}

// Grid (L, B). Dynamic shared memory: `capacity` keys, then boxes and areas [depth].
template <typename T>
__global__ void __launch_bounds__(kListThreads)
    suppressWithinLists(YolactFastNmsParams p, YolactFastNmsTensors t, Scratch scratch, int depth, int capacity)
{
    __shared__ TopK::State state;
    __shared__ int kept, base;
    const int list = blockIdx.x, image = blockIdx.y;
    const int count = scratch.counts[image].candidates;
    if (count == 0) {
        return;
    }
    const size_t start = static_cast<size_t>(image) * p.priors;  // index (image, 0)
    const T* confidences = static_cast<const T*>(t.confidences) + start * (p.classes + 1);
    uint64_t* keys = reinterpret_cast<uint64_t*>(dynamicShared());
    float4* boxes = reinterpret_cast<float4*>(keys + capacity);
    float* areas = reinterpret_cast<float*>(boxes + depth);

    TopK top{keys, &state, depth};
    top.begin(0);
    for (int first = 0; first < count; first += blockDim.x) {
        const int index = first + threadIdx.x;
        uint64_t key = 0;
        if (index < count) {
            const int prior = scratch.candidate_priors[start + index];
            const Candidate& candidate = scratch.candidates[start + prior];
            const int c = p.cross_class ? candidate.best_class : list;
            const float logit = toFloat(confidences[static_cast<size_t>(prior) * (p.classes + 1) + 1 + c]);
            key = makeKey(expf(logit - candidate.largest_logit) / candidate.exponentials, prior);
        }
        top.offer(key, capacity);
    }
    const int ranked = top.finish();
    for (int rank = threadIdx.x; rank < ranked; rank += blockDim.x) {
        boxes[rank] = scratch.candidates[start + idOf(keys[rank])].box;
        areas[rank] = areaOf(boxes[rank]);
    }
    if (threadIdx.x == 0) {
        kept = 0;
    }
    __syncthreads();
    suppressKeys(keys, boxes, areas, ranked, p.nms_threshold);

    // The survivors go into the image's array. Their places are counted in shared memory first, so that the block adds
    // to the counter in global memory only once.
    int* slots = reinterpret_cast<int*>(areas);  // the areas are not needed any more
    for (int rank = threadIdx.x; rank < ranked; rank += blockDim.x) {
        slots[rank] = keys[rank] != 0 ? atomicAdd(&kept, 1) : -1;
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        base = atomicAdd(&scratch.counts[image].survivors, kept);
    }
    __syncthreads();
    uint64_t* survivors = scratch.survivors + static_cast<size_t>(image) * gridDim.x * depth;
    for (int rank = threadIdx.x; rank < ranked; rank += blockDim.x) {
        if (slots[rank] >= 0) {
            const unsigned id = static_cast<unsigned>(list) * p.priors + idOf(keys[rank]);
            survivors[base + slots[rank]] = makeKey(scoreOf(keys[rank]), id);
        }
    }
}

// Grid (B). Dynamic shared memory: `capacity` keys.
template <typename T>
__global__ void __launch_bounds__(kImageThreads)
    keepBest(YolactFastNmsParams p, YolactFastNmsTensors t, Scratch scratch, int per_image, int capacity)
{
    __shared__ TopK::State state;
    const int image = blockIdx.x;
    const int count = scratch.counts[image].survivors;
    const uint64_t* survivors = scratch.survivors + static_cast<size_t>(image) * per_image;
    TopK top{reinterpret_cast<uint64_t*>(dynamicShared()), &state, p.max_detections};
    top.begin(0);
    for (int first = 0; first < count; first += blockDim.x) {
        const int index = first + threadIdx.x;
        top.offer(index < count ? survivors[index] : 0, capacity);
    }
    const int found = top.finish();

    const size_t start = static_cast<size_t>(image) * p.priors;           // index (image, 0) of priors
    const size_t output = static_cast<size_t>(image) * p.max_detections;  // index (image, 0) of detections
    if (threadIdx.x == 0) {
        t.num_detections[image] = found;
    }
    for (int d = threadIdx.x; d < p.max_detections; d += blockDim.x) {
        float4 box = make_float4(0, 0, 0, 0);
        float score = 0;
        int best_class = 0;
        if (d < found) {
            const unsigned id = idOf(top.buffer[d]);
            const Candidate& candidate = scratch.candidates[start + id % p.priors];
            box = candidate.box;
            score = scoreOf(top.buffer[d]);
            best_class = p.cross_class ? candidate.best_class : static_cast<int>(id / p.priors);
        }
        reinterpret_cast<float4*>(t.boxes)[output + d] = box;
        t.scores[output + d] = score;
        t.classes[output + d] = best_class;
    }
    const T* coefficients = static_cast<const T*>(t.coefficients);
    T* gathered = static_cast<T*>(t.detection_coefficients) + output * p.coefficients;
    for (int i = threadIdx.x; i < p.max_detections * p.coefficients; i += blockDim.x) {
        const int d = i / p.coefficients, k = i % p.coefficients;
        gathered[i] = d < found ? coefficients[(start + idOf(top.buffer[d]) % p.priors) * p.coefficients + k] : T(0.0f);
    }
}

template <typename T>
cudaError_t launchFindCandidates(
    const YolactFastNmsParams& p, const YolactFastNmsTensors& t, const Scratch& scratch, cudaStream_t stream)
{
    const size_t row_bytes = (p.classes + 1) * sizeof(T);
    int rows = kMaxRows;
    while (rows > 1 && rows * row_bytes > kStageBytes) {
        rows /= 2;
    }
    const int lanes = kScoreThreads / rows < kWarp ? kScoreThreads / rows : kWarp;
    const dim3 grid((p.priors + rows - 1) / rows, p.batch);
    const size_t shared = rows * row_bytes + 16;  // `stage` may start the copy up to 15 bytes later
    return launch(findCandidates<T>, grid, rows * lanes, shared, stream, p, t, scratch, rows, lanes);
}

template <typename T>
cudaError_t launchAll(
    const YolactFastNmsParams& p, const YolactFastNmsTensors& t, const Scratch& scratch, cudaStream_t stream)
{
    const int lists = listsOf(p), depth = depthOf(p);
    if (cudaError_t error = cudaMemsetAsync(scratch.counts, 0, p.batch * sizeof(Counts), stream)) {
        return error;
    }
    if (cudaError_t error = launchFindCandidates<T>(p, t, scratch, stream)) {
        return error;
    }
    int capacity = TopK::bufferSize(depth, kListThreads);
    size_t shared = capacity * sizeof(uint64_t) + depth * (sizeof(float4) + sizeof(float));
    const dim3 grid(lists, p.batch);
    if (cudaError_t error =
            launch(suppressWithinLists<T>, grid, kListThreads, shared, stream, p, t, scratch, depth, capacity)) {
        return error;
    }
    capacity = TopK::bufferSize(p.max_detections, kImageThreads);
    shared = capacity * sizeof(uint64_t);
    return launch(keepBest<T>, p.batch, kImageThreads, shared, stream, p, t, scratch, lists * depth, capacity);
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
