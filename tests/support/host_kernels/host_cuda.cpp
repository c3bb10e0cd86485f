// Runs CUDA kernels on a CPU, and is strict. It is an error where some threads of a block or warp do not reach a
// barrier, where only some lanes take part in a warp operation, and where no GPU would take the launch. Shared memory
// starts as rubbish and ends at an unmapped page. The test chooses the order in which threads run, so it can see
// whether the result depends on that order.
#include <algorithm>
#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <random>
#include <vector>

#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "common/launch.cuh"

namespace host_cuda {
namespace {

constexpr int kWarp = 32;
constexpr unsigned kAllLanes = 0xffffffffu;
constexpr size_t kStack = 128 << 10;
constexpr size_t kShared = 48 << 10;  // what a launch may ask for unless the kernel has opted in to more
constexpr int kRubbish = 0xcd;

enum class State { kReady, kAtBlock, kAtWarp, kDone };

struct Fibre {
    ucontext_t first_entry;
    jmp_buf resume;
    std::unique_ptr<char[]> stack;
    bool started = false;
    State state = State::kDone;
    uint3 thread{};
};

struct Warp {
    int waiting = 0;
    unsigned flags = 0, result = 0;
    uint64_t values[kWarp] = {};
};

std::vector<std::unique_ptr<Fibre>> fibres;
std::vector<Warp> warps;
jmp_buf scheduler;
ucontext_t scheduler_context;
const std::function<void()>* body;
Place place;
int current, threads, at_block, block_flags, block_result;
bool broken;
unsigned char* shared_end;
unsigned char* shared;
unsigned schedule;
std::mt19937 random_order;
std::vector<unsigned> launches;  // grid, threads and shared memory of each: five numbers

void yield()
{
    Fibre& fibre = *fibres[current];
    if (!_setjmp(fibre.resume)) {
        _longjmp(scheduler, 1);
    }
}

void fibreMain()
{
    for (;;) {
        (*body)();
        fibres[current]->state = State::kDone;
        yield();
    }
}

void resume(int index)
{
    Fibre& fibre = *fibres[index];
    current = index;
    place.thread = fibre.thread;
    if (_setjmp(scheduler)) {
        return;
    }
    if (fibre.started) {
        _longjmp(fibre.resume, 1);
    }
    fibre.started = true;
    getcontext(&fibre.first_entry);
    fibre.stack.reset(new char[kStack]);
    fibre.first_entry.uc_stack.ss_sp = fibre.stack.get();
    fibre.first_entry.uc_stack.ss_size = kStack;
    fibre.first_entry.uc_link = nullptr;
    makecontext(&fibre.first_entry, fibreMain, 0);
    swapcontext(&scheduler_context, &fibre.first_entry);
}

int ordered(int step, int count, const std::vector<int>& shuffled)
{
    return schedule == 0 ? step : schedule == 1 ? count - 1 - step : shuffled[step];
}

std::vector<int> shuffledOrder(int count)
{
    std::vector<int> order(count);
    for (int i = 0; i < count; ++i) {
        order[i] = i;
    }
    for (int i = count - 1; i > 0; --i) {
        std::swap(order[i], order[random_order() % (i + 1)]);
    }
    return order;
}

// Runs one block. False where threads wait at a barrier that others never reach.
bool runBlock()
{
    const dim3& size = place.block_size;
    for (int t = 0; t < threads; ++t) {
        fibres[t]->state = State::kReady;
        fibres[t]->thread = {t % size.x, t / size.x % size.y, t / (size.x * size.y)};
    }
    warps.assign((threads + kWarp - 1) / kWarp, Warp{});
    at_block = block_flags = 0;
    broken = false;
    for (bool progress = true; progress;) {
        progress = false;
        const std::vector<int> shuffled = schedule > 1 ? shuffledOrder(threads) : std::vector<int>{};
        for (int step = 0; step < threads && !broken; ++step) {
            const int index = ordered(step, threads, shuffled);
            if (fibres[index]->state == State::kReady) {
                progress = true;
                resume(index);
            }
        }
    }
    for (int t = 0; t < threads; ++t) {
        broken |= fibres[t]->state != State::kDone;
    }
    return !broken;
}

void prepare()
{
    if (shared_end == nullptr) {
        const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
        const size_t size = (kShared + page - 1) / page * page;
        void* memory = mmap(nullptr, size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        shared_end = static_cast<unsigned char*>(memory) + size;
        mprotect(shared_end, page, PROT_NONE);
    }
    while (fibres.size() < static_cast<size_t>(threads)) {
        fibres.push_back(std::make_unique<Fibre>());
    }
}

}  // namespace

const Place& here() { return place; }
unsigned char* dynamicShared() { return shared; }
int laneId() { return current % kWarp; }

int waitForBlock(int flag)
{
    block_flags += flag != 0;
    if (++at_block == threads) {
        block_result = block_flags;
        at_block = block_flags = 0;
        for (int t = 0; t < threads; ++t) {
            fibres[t]->state = State::kReady;
        }
    } else {
        fibres[current]->state = State::kAtBlock;
        yield();
    }
    return block_result;
}

unsigned waitForWarp(unsigned mask, bool flag)
{
    if (mask != kAllLanes) {
        broken = true;
        yield();
    }
    const int first = current / kWarp * kWarp;
    const int lanes = std::min(kWarp, threads - first);
    Warp& warp = warps[current / kWarp];
    warp.flags |= flag ? 1u << laneId() : 0;
    if (++warp.waiting == lanes) {
        warp.result = warp.flags;
        warp.waiting = warp.flags = 0;
        for (int lane = 0; lane < lanes; ++lane) {
            fibres[first + lane]->state = State::kReady;
        }
    } else {
        fibres[current]->state = State::kAtWarp;
        yield();
    }
    return warp.result;
}

uint64_t exchange(unsigned mask, uint64_t value, int source_lane)
{
    Warp& warp = warps[current / kWarp];
    warp.values[laneId()] = value;
    waitForWarp(mask, false);
    const uint64_t got = warp.values[source_lane];
    waitForWarp(mask, false);  // no lane writes its next value before all have read this one
    return got;
}

namespace {

cudaError_t run(const std::function<void()>& thread, dim3 grid, dim3 block, size_t shared_bytes)
{
    const uint64_t size = uint64_t{block.x} * block.y * block.z;
    const bool empty = size == 0 || grid.x == 0 || grid.y == 0 || grid.z == 0;
    if (empty || size > 1024 || grid.x > 0x7fffffffu || grid.y > 65535 || grid.z > 65535 || block.z > 64) {
        return cudaErrorInvalidConfiguration;
    }
    if (shared_bytes > kShared) {
        return cudaErrorInvalidValue;
    }
    threads = static_cast<int>(size);
    launches.insert(launches.end(), {grid.x, grid.y, grid.z, block.x * block.y * block.z, unsigned(shared_bytes)});
    prepare();
    body = &thread;
    place.block_size = block;
    place.grid_size = grid;
    shared = shared_end - (shared_bytes + 15) / 16 * 16;
    const int blocks = static_cast<int>(grid.x * grid.y * grid.z);
    const std::vector<int> shuffled = schedule > 1 ? shuffledOrder(blocks) : std::vector<int>{};
    for (int step = 0; step < blocks; ++step) {
        const unsigned index = static_cast<unsigned>(ordered(step, blocks, shuffled));
        place.block = {index % grid.x, index / grid.x % grid.y, index / (grid.x * grid.y)};
        std::memset(shared_end - kShared, kRubbish, kShared);
        if (!runBlock()) {
            std::fprintf(stderr, "block %u: not every thread reached a barrier\n", index);
            fibres.clear();  // those that wait would never go on
            return cudaErrorLaunchFailure;
        }
    }
    return cudaSuccess;
}

// A driver without a GPU (tests/runtime/host_cuda), which says when what is put on its streams happens.
using Put = int (*)(cudaStream_t stream, void (*work)(void*), void* data);
Put put_on_stream;

struct Launch {
    std::function<void()> thread;
    dim3 grid, block;
    size_t shared_bytes;
};

// Ends the process where a launch fails: nobody would hear of an error at this point.
void perform(void* data)
{
    static std::mutex one_at_a_time;  // the fibres and their place are the process's
    const std::lock_guard<std::mutex> lock(one_at_a_time);
    const auto& work = *static_cast<Launch*>(data);
    if (run(work.thread, work.grid, work.block, work.shared_bytes) != cudaSuccess) {
        std::fprintf(stderr, "a launch on a stream failed\n");
        std::abort();
    }
}

}  // namespace

cudaError_t launch(const std::function<void()>& thread, dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t stream)
{
    if (put_on_stream == nullptr) {
        return run(thread, grid, block, shared_bytes);
    }
    // Never freed: what a stream records as a graph runs again and again.
    auto* work = new Launch{thread, grid, block, shared_bytes};
    return static_cast<cudaError_t>(put_on_stream(stream, perform, work));
}

}  // namespace host_cuda

extern "C" {

// Threads and blocks run in ascending order with 0 and in descending order with 1. Any other number is the seed of an
// order that is shuffled anew at every barrier.
void host_cuda_schedule(unsigned seed)
{
    host_cuda::schedule = seed;
    host_cuda::random_order.seed(seed);
}

// From now on launches go to the driver's streams.
void host_cuda_put_on_streams(host_cuda::Put put) { host_cuda::put_on_stream = put; }

// Copies at most `room` of the launches since the last call, five numbers each, and returns how many there were.
int host_cuda_launches(unsigned* numbers, int room)
{
    std::vector<unsigned>& launches = host_cuda::launches;
    const int count = static_cast<int>(launches.size() / 5);
    std::copy_n(launches.begin(), 5 * std::min(count, room), numbers);
    launches.clear();
    return count;
}

const char* cudaGetErrorName(cudaError_t error)
{
    switch (error) {
    case cudaSuccess: return "cudaSuccess";
    case cudaErrorInvalidValue: return "cudaErrorInvalidValue";
    case cudaErrorInvalidConfiguration: return "cudaErrorInvalidConfiguration";
    case cudaErrorLaunchFailure: return "cudaErrorLaunchFailure";
    default: return "unrecognized error code";
    }
}

const char* cudaGetErrorString(cudaError_t) { return "an error of the CPU's CUDA"; }

cudaError_t cudaMemsetAsync(void* address, int value, size_t bytes, cudaStream_t)
{
    std::memset(address, value, bytes);
    return cudaSuccess;
}
}
