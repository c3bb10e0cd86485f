/* A CUDA driver without a GPU, for tests: `libcuda.so.1` with the functions that the runtime uses, in host memory.
 *
 * It is late on purpose. What is put on a stream only happens when somebody waits for it: in order within the stream,
 * after the events that the stream was told to wait for, and no sooner than necessary. So a missing synchronisation or
 * a missing wait shows as wrong data, every time. With the setting "interleave", what is ready on other streams happens
 * in between, operation by operation; that shows work which shares memory without being put in order.
 *
 * It is strict. Contexts must be current, handles and addresses must be of that context and alive, copies must lie
 * within an allocation, host memory of asynchronous copies must be page-locked. What breaks a rule returns an error and
 * is counted as "misuse". Freed memory is overwritten and never used again. Whatever else cuda-bindings asks for
 * returns CUDA_ERROR_NOT_SUPPORTED.
 *
 * Time is made up: an upload takes 1 us, a download 10, a call 100, nothing else any.
 *
 * Not modelled: caches, the implicit order of default streams (synchronous copies do wait for blocking streams), capture
 * of events other than external ones, more than one process. Tests look inside with host_cuda_count, host_cuda_set and
 * host_cuda_fail.
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { /* of CUresult */
    SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NOT_INITIALIZED = 3, NO_DEVICE = 100, INVALID_DEVICE = 101,
    INVALID_CONTEXT = 201, INVALID_HANDLE = 400, NOT_READY = 600, ILLEGAL_ADDRESS = 700, NOT_SUPPORTED = 801,
    CAPTURE_UNSUPPORTED = 900, CAPTURE_INVALIDATED = 901, CAPTURE_ISOLATION = 905
};

static const struct { int code; const char *name, *text; } ERRORS[] = {
    {INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {NOT_INITIALIZED, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
    {NO_DEVICE, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    {INVALID_DEVICE, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {INVALID_CONTEXT, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {INVALID_HANDLE, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
    {NOT_READY, "CUDA_ERROR_NOT_READY", "device not ready"},
    {ILLEGAL_ADDRESS, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
    {NOT_SUPPORTED, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported"},
    {CAPTURE_UNSUPPORTED, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "operation not permitted when stream is capturing"},
    {CAPTURE_INVALIDATED, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED", "operation failed due to a previous error"},
    {CAPTURE_ISOLATION, "CUDA_ERROR_STREAM_CAPTURE_ISOLATION", "dependency created on uncaptured work"},
};

enum Kind { CONTEXT, STREAM, EVENT, GRAPH, EXEC, KINDS };
enum { UPLOAD, DOWNLOAD, CALL, RECORD, WAIT };
enum { DEVICE_MEMORY, PINNED_MEMORY };

typedef struct Object Object;
typedef struct Op {
    int kind;
    char *to; const char *from; size_t size; /* UPLOAD, DOWNLOAD */
    void (*function)(void *); void *data;    /* CALL */
    int kernel;                              /* CALL: of a kernel */
    Object *event, *where; long number;      /* RECORD, WAIT: the n-th record of the event, put on `where`; in graphs it is known when they are launched */
    struct Op *next;
} Op;

/* Every handle; never freed, so that a stale one is recognised. */
struct Object {
    enum Kind kind;
    int alive, device, references; /* references: CONTEXT */
    Object *context, *next;
    Op *first, *last;              /* STREAM: pending; GRAPH, EXEC: recorded */
    int blocking, busy, invalid;   /* STREAM; busy while a CALL runs; invalid: its capture */
    Object *graph;                 /* STREAM: being captured into */
    long recorded, reached;        /* EVENT */
    Object *where;                 /* EVENT: stream of the last record */
    int timed;                     /* EVENT */
    long when;                     /* EVENT: us */
};

typedef struct Block { char *address; size_t size; int kind, alive; Object *context; struct Block *next; } Block;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t progress = PTHREAD_COND_INITIALIZER;
static Object *objects;
static Block *blocks;
static int initialised, sticky;
static long now; /* us */
static __thread Object *stack[64];
static __thread int depth;

/* ---- what tests see and set ---- */

static struct { const char *name; long value; } counters[] = {
    {"misuse", 0}, {"device_memory", 0}, {"pinned_memory", 0}, {"contexts", 0}, {"streams", 0}, {"events", 0},
    {"graphs", 0}, {"execs", 0}, {"allocations", 0}, {"created", 0}, {"uploaded", 0}, {"downloaded", 0},
    {"launches", 0}, {"captures", 0}, {"synchronisations", 0}, {"unsupported", 0},
    {"kernels", 0}, {"copies", 0}, {"puts", 0},
    /* settings */
    {"devices", 2}, {"memory", 1L << 30}, {"interleave", 0},
};
static char failing[64];
static int failure;

static long *count(const char *name) {
    for (size_t i = 0; i < sizeof counters / sizeof *counters; i++)
        if (!strcmp(counters[i].name, name)) return &counters[i].value;
    fprintf(stderr, "host_cuda: no counter %s\n", name);
    abort();
}
long host_cuda_count(const char *name) { return *count(name); }
void host_cuda_set(const char *name, long value) { *count(name) = value; }
/* Let the next call of a function return this code instead of doing anything. */
void host_cuda_fail(const char *function, int code) {
    snprintf(failing, sizeof failing, "%s", function);
    failure = code;
}

/* ---- rules ---- */

static int leave(int code) { pthread_mutex_unlock(&mutex); return code; }
static int misuse(int code) { ++*count("misuse"); return leave(code); }
static Object *current(void) { return depth ? stack[depth - 1] : NULL; }

static int enter(const char *function, int needs_context) {
    pthread_mutex_lock(&mutex);
    if (failure && !strcmp(function, failing)) { int code = failure; failure = 0; return code; }
    if (!initialised) return NOT_INITIALIZED;
    if (!needs_context) return SUCCESS;
    if (!current() || !current()->alive) { ++*count("misuse"); return INVALID_CONTEXT; }
    return sticky;
}
#define ENTER(needs_context) do { int e = enter(__func__, needs_context); if (e) return leave(e); } while (0)
#define CHECK(condition, code) do { if (!(condition)) return misuse(code); } while (0)

static const char *LIVE[KINDS] = {"contexts", "streams", "events", "graphs", "execs"};

static Object *make(enum Kind kind) {
    Object *object = calloc(1, sizeof *object);
    *object = (Object){.kind = kind, .alive = 1, .context = current(), .next = objects};
    if (current()) object->device = current()->device;
    objects = object;
    ++*count(LIVE[kind]);
    ++*count("created");
    return object;
}

/* The living object of this kind and of the current context behind a handle; NULL where there is none. */
static Object *find(void *handle, enum Kind kind) {
    for (Object *object = objects; object; object = object->next)
        if (object == handle)
            return object->kind == kind && object->alive && object->context == current() ? object : NULL;
    return NULL;
}

static int destroy(void *handle, enum Kind kind) {
    Object *object = find(handle, kind);
    CHECK(object, INVALID_HANDLE);
    object->alive = 0;
    --*count(LIVE[kind]);
    return leave(SUCCESS);
}

/* The living allocation of this kind around [address, address + size). */
static Block *around(const void *address, size_t size, int kind) {
    for (Block *block = blocks; block; block = block->next)
        if (block->alive && block->kind == kind && (char *)address >= block->address &&
            (char *)address + size <= block->address + block->size) return block;
    return NULL;
}

/* ---- streams: what is pending, and how it happens ---- */

static int put(Object *stream, Op op) {
    Object *queue = stream->graph ? stream->graph : stream;
    Op *copy = malloc(sizeof *copy);
    *copy = op;
    copy->next = NULL;
    if (queue->kind == STREAM) ++*count("puts");
    if (queue->first) queue->last->next = copy; else queue->first = copy;
    queue->last = copy;
    return SUCCESS;
}

static void step(Object *stream);

static void perform(Object *stream, Op *op) {
    int up = op->kind == UPLOAD;
    switch (op->kind) {
    case UPLOAD:
    case DOWNLOAD:
        if (!around(op->to, op->size, up ? DEVICE_MEMORY : PINNED_MEMORY) ||
            !around(op->from, op->size, up ? PINNED_MEMORY : DEVICE_MEMORY)) {
            ++*count("misuse"); /* freed before the copy came to it */
            sticky = ILLEGAL_ADDRESS;
            return;
        }
        memcpy(op->to, op->from, op->size);
        now += up ? 1 : 10;
        *count(up ? "uploaded" : "downloaded") += (long)op->size;
        ++*count("copies");
        return;
    case CALL: /* without the lock: the function may take other locks, Python's for one */
        stream->busy = 1;
        pthread_mutex_unlock(&mutex);
        op->function(op->data);
        pthread_mutex_lock(&mutex);
        *count("kernels") += op->kernel;
        stream->busy = 0;
        now += 100;
        pthread_cond_broadcast(&progress);
        return;
    case RECORD:
        if (op->event->reached < op->number) op->event->reached = op->number;
        op->event->when = now;
        return;
    case WAIT:
        while (op->event->reached < op->number) step(op->where);
    }
}

/* Let the next thing on a stream happen, or wait for the thread in which it is happening. */
static void step(Object *stream) {
    if (stream->busy) { pthread_cond_wait(&progress, &mutex); return; }
    Op *op = stream->first;
    if (!op) return;
    stream->first = op->next;
    perform(stream, op);
    free(op);
}

static void wait_for(Object *stream) {
    while (stream->first || stream->busy) {
        step(stream);
        if (!*count("interleave")) continue;
        for (Object *other = objects; other; other = other->next)
            if (other->kind == STREAM && other != stream && !other->busy) step(other);
    }
}

/* ---- devices and contexts ---- */

int cuInit(unsigned flags) {
    (void)flags;
    pthread_mutex_lock(&mutex);
    if (failure && !strcmp("cuInit", failing)) { int code = failure; failure = 0; return leave(code); }
    if (!*count("devices")) return leave(NO_DEVICE);
    initialised = 1;
    return leave(SUCCESS);
}
int cuDriverGetVersion(int *version) { *version = 13020; return SUCCESS; }
int cuDeviceGetCount(int *number) { ENTER(0); *number = (int)*count("devices"); return leave(SUCCESS); }
int cuDeviceGet(int *device, int ordinal) {
    ENTER(0);
    CHECK(ordinal >= 0 && ordinal < *count("devices"), INVALID_DEVICE);
    *device = ordinal;
    return leave(SUCCESS);
}
int cuDeviceGetName(char *name, int size, int device) {
    snprintf(name, (size_t)size, "Host GPU %d", device);
    return SUCCESS;
}
int cuDeviceGetPCIBusId(char *name, int size, int device) {
    snprintf(name, (size_t)size, "0000:%02X:00.0", 0x17 + device);
    return SUCCESS;
}
int cuDeviceGetAttribute(int *value, int attribute, int device) {
    (void)device;
    *value = attribute == 75 ? 8 : attribute == 76 ? 6 : 0; /* compute capability 8.6 */
    return SUCCESS;
}

int cuDevicePrimaryCtxRetain(void **context, int device) {
    ENTER(0);
    Object *found = objects;
    while (found && !(found->kind == CONTEXT && found->alive && found->device == device)) found = found->next;
    if (!found) { found = make(CONTEXT); found->device = device; }
    found->references++;
    *context = found;
    return leave(SUCCESS);
}

int cuDevicePrimaryCtxRelease(int device) {
    ENTER(0);
    Object *found = objects;
    while (found && !(found->kind == CONTEXT && found->alive && found->device == device)) found = found->next;
    CHECK(found, INVALID_CONTEXT);
    if (--found->references) return leave(SUCCESS);
    found->alive = 0;
    --*count("contexts");
    for (Object *object = objects; object; object = object->next)
        CHECK(!object->alive || object->kind == CONTEXT || object->context != found, INVALID_CONTEXT); /* left behind */
    for (Block *block = blocks; block; block = block->next)
        CHECK(!block->alive || block->context != found, INVALID_CONTEXT);
    return leave(SUCCESS);
}

int cuCtxPushCurrent(void *context) {
    ENTER(0);
    CHECK(context && ((Object *)context)->kind == CONTEXT && ((Object *)context)->alive && depth < 64, INVALID_CONTEXT);
    stack[depth++] = context;
    return leave(SUCCESS);
}
int cuCtxPopCurrent(void **context) {
    ENTER(0);
    CHECK(depth, INVALID_CONTEXT);
    *context = stack[--depth];
    return leave(SUCCESS);
}
int cuCtxGetCurrent(void **context) { ENTER(0); *context = current(); return leave(SUCCESS); }

int cuCtxSynchronize(void) {
    ENTER(1);
    ++*count("synchronisations");
    for (Object *object = objects; object; object = object->next)
        if (object->kind == STREAM && object->context == current()) wait_for(object);
    return leave(sticky);
}

/* ---- memory ---- */

static int allocate(void **address, size_t size, int kind) {
    const char *name = kind == DEVICE_MEMORY ? "device_memory" : "pinned_memory";
    CHECK(size, INVALID_VALUE);
    if (*count(name) + (long)size > *count("memory")) return leave(OUT_OF_MEMORY);
    Block *block = malloc(sizeof *block);
    *block = (Block){.size = size, .kind = kind, .alive = 1, .context = current(), .next = blocks};
    if (posix_memalign((void **)&block->address, 512, size)) abort();
    memset(block->address, 0xCD, size);
    blocks = block;
    *count(name) += (long)size;
    ++*count("allocations");
    *address = block->address;
    return leave(SUCCESS);
}

static int release(void *address, int kind) {
    Block *block = around(address, 1, kind);
    CHECK(block && block->address == address && block->context == current(), INVALID_VALUE);
    memset(block->address, 0xDD, block->size);
    block->alive = 0; /* and never given back, so that whoever still uses it reads 0xDD */
    *count(kind == DEVICE_MEMORY ? "device_memory" : "pinned_memory") -= (long)block->size;
    return leave(SUCCESS);
}

int cuMemAlloc(void **address, size_t size) { ENTER(1); return allocate(address, size, DEVICE_MEMORY); }
int cuMemFree(void *address) { ENTER(1); return release(address, DEVICE_MEMORY); }
int cuMemHostAlloc(void **address, size_t size, unsigned flags) {
    (void)flags;
    ENTER(1);
    return allocate(address, size, PINNED_MEMORY);
}
int cuMemFreeHost(void *address) { ENTER(1); return release(address, PINNED_MEMORY); }
int cuMemGetInfo(size_t *unused, size_t *total) {
    ENTER(1);
    *total = (size_t)*count("memory");
    *unused = *total - (size_t)*count("device_memory");
    return leave(SUCCESS);
}
int cuPointerGetAttribute(int *value, int attribute, void *address) {
    ENTER(1);
    Block *block = around(address, 1, DEVICE_MEMORY);
    if (!block || attribute != 9) return leave(INVALID_VALUE); /* 9: CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL */
    *value = block->context->device;
    return leave(SUCCESS);
}

static int copy_later(int kind, void *to, const void *from, size_t size, void *handle) {
    Object *stream = find(handle, STREAM);
    CHECK(stream, INVALID_HANDLE);
    const void *device = kind == UPLOAD ? to : from, *host = kind == UPLOAD ? from : to;
    Block *block = around(device, size, DEVICE_MEMORY);
    CHECK(block && block->context == current() && around(host, size, PINNED_MEMORY), INVALID_VALUE);
    return leave(put(stream, (Op){.kind = kind, .to = to, .from = from, .size = size}));
}
int cuMemcpyHtoDAsync(void *to, const void *from, size_t size, void *stream) {
    ENTER(1);
    return copy_later(UPLOAD, to, from, size, stream);
}
int cuMemcpyDtoHAsync(void *to, const void *from, size_t size, void *stream) {
    ENTER(1);
    return copy_later(DOWNLOAD, to, from, size, stream);
}

static int copy_now(void *to, const void *from, size_t size, const void *device) {
    CHECK(around(device, size, DEVICE_MEMORY), INVALID_VALUE);
    ++*count("synchronisations");
    for (Object *object = objects; object; object = object->next)
        if (object->kind == STREAM && object->blocking && object->context == current()) wait_for(object);
    memcpy(to, from, size);
    return leave(sticky);
}
int cuMemcpyHtoD(void *to, const void *from, size_t size) { ENTER(1); return copy_now(to, from, size, to); }
int cuMemcpyDtoH(void *to, const void *from, size_t size) { ENTER(1); return copy_now(to, from, size, from); }

/* ---- streams and events ---- */

int cuStreamCreate(void **stream, unsigned flags) {
    ENTER(1);
    Object *object = make(STREAM);
    object->blocking = !(flags & 1);
    *stream = object;
    return leave(SUCCESS);
}
int cuStreamDestroy(void *stream) { ENTER(1); return destroy(stream, STREAM); }
int cuStreamGetCtx(void *handle, void **context) {
    ENTER(1);
    Object *object = objects;
    while (object && !(object == handle && object->kind == STREAM && object->alive)) object = object->next;
    if (!object) return leave(INVALID_HANDLE);
    *context = object->context;
    return leave(SUCCESS);
}
int cuStreamSynchronize(void *handle) {
    ENTER(1);
    Object *stream = find(handle, STREAM);
    CHECK(stream, INVALID_HANDLE);
    if (stream->graph) { stream->invalid = 1; return leave(CAPTURE_UNSUPPORTED); }
    ++*count("synchronisations");
    wait_for(stream);
    return leave(sticky);
}
int cuStreamWaitEvent(void *handle, void *event_handle, unsigned flags) {
    ENTER(1);
    int external = flags & 1; /* CU_EVENT_WAIT_EXTERNAL */
    Object *stream = find(handle, STREAM), *event = find(event_handle, EVENT);
    CHECK(stream && event, INVALID_HANDLE);
    CHECK(stream->graph || !external, INVALID_VALUE);
    if (external) return leave(put(stream, (Op){.kind = WAIT, .event = event}));
    if (!event->recorded) return leave(SUCCESS);
    if (stream->graph) { stream->invalid = 1; return leave(CAPTURE_ISOLATION); }
    return leave(put(stream, (Op){.kind = WAIT, .event = event, .where = event->where, .number = event->recorded}));
}
int cuLaunchHostFunc(void *handle, void (*function)(void *), void *data) {
    ENTER(1);
    Object *stream = find(handle, STREAM);
    CHECK(stream, INVALID_HANDLE);
    return leave(put(stream, (Op){.kind = CALL, .function = function, .data = data}));
}

/* Not the driver's: the project's kernels, built for this CPU, are launched through it. */
int host_cuda_launch(void *handle, void (*function)(void *), void *data) {
    ENTER(1);
    Object *stream = find(handle, STREAM);
    CHECK(stream, INVALID_HANDLE);
    return leave(put(stream, (Op){.kind = CALL, .function = function, .data = data, .kernel = 1}));
}

int cuEventCreate(void **handle, unsigned flags) {
    ENTER(1);
    Object *event = make(EVENT);
    event->timed = !(flags & 2); /* CU_EVENT_DISABLE_TIMING */
    *handle = event;
    return leave(SUCCESS);
}
int cuEventDestroy(void *event) { ENTER(1); return destroy(event, EVENT); }
static int record(void *event_handle, void *handle, int external) {
    Object *stream = find(handle, STREAM), *event = find(event_handle, EVENT);
    CHECK(stream && event, INVALID_HANDLE);
    if (stream->graph && !external) { stream->invalid = 1; return leave(CAPTURE_UNSUPPORTED); }
    CHECK(stream->graph || !external, INVALID_VALUE);
    if (external) return leave(put(stream, (Op){.kind = RECORD, .event = event})); /* recorded when the graph runs */
    event->where = stream;
    return leave(put(stream, (Op){.kind = RECORD, .event = event, .number = ++event->recorded}));
}
int cuEventRecord(void *event, void *stream) { ENTER(1); return record(event, stream, 0); }
int cuEventRecordWithFlags(void *event, void *stream, unsigned flags) {
    ENTER(1);
    return record(event, stream, flags & 1); /* CU_EVENT_RECORD_EXTERNAL */
}
int cuEventElapsedTime(float *milliseconds, void *start_handle, void *end_handle) {
    ENTER(1);
    Object *start = find(start_handle, EVENT), *end = find(end_handle, EVENT);
    CHECK(start && end && start->timed && end->timed && start->recorded && end->recorded, INVALID_HANDLE);
    if (start->reached < start->recorded || end->reached < end->recorded) return leave(NOT_READY);
    *milliseconds = (float)(end->when - start->when) / 1000;
    return leave(SUCCESS);
}
int cuEventSynchronize(void *handle) {
    ENTER(1);
    Object *event = find(handle, EVENT);
    CHECK(event, INVALID_HANDLE);
    ++*count("synchronisations");
    long number = event->recorded;
    while (event->reached < number) step(event->where);
    return leave(sticky);
}

/* ---- graphs ---- */

int cuStreamBeginCapture(void *handle, int mode) {
    (void)mode;
    ENTER(1);
    Object *stream = find(handle, STREAM);
    CHECK(stream && !stream->graph, INVALID_HANDLE);
    stream->graph = make(GRAPH);
    stream->invalid = 0;
    return leave(SUCCESS);
}
int cuStreamEndCapture(void *handle, void **graph) {
    ENTER(1);
    Object *stream = find(handle, STREAM);
    CHECK(stream && stream->graph, INVALID_HANDLE);
    *graph = stream->graph;
    stream->graph = NULL;
    if (!stream->invalid) { ++*count("captures"); return leave(SUCCESS); }
    ((Object *)*graph)->alive = 0;
    --*count("graphs");
    *graph = NULL;
    return leave(CAPTURE_INVALIDATED);
}
int cuStreamIsCapturing(void *handle, int *status) {
    ENTER(1);
    Object *stream = find(handle, STREAM);
    CHECK(stream, INVALID_HANDLE);
    *status = stream->graph ? 1 + stream->invalid : 0;
    return leave(SUCCESS);
}
int cuGraphInstantiateWithFlags(void **exec, void *handle, unsigned long long flags) {
    (void)flags;
    ENTER(1);
    Object *graph = find(handle, GRAPH);
    CHECK(graph, INVALID_HANDLE);
    Object *copy = make(EXEC);
    for (Op *op = graph->first; op; op = op->next) put(copy, *op);
    *exec = copy;
    return leave(SUCCESS);
}
int cuGraphLaunch(void *handle, void *stream_handle) {
    ENTER(1);
    Object *exec = find(handle, EXEC), *stream = find(stream_handle, STREAM);
    CHECK(exec && stream, INVALID_HANDLE);
    long puts = *count("puts") + 1; /* one, of whatever it consists */
    for (Op *op = exec->first; op; op = op->next) {
        Op copy = *op;
        if (op->kind == RECORD || op->kind == WAIT) CHECK(op->event->alive, INVALID_HANDLE);
        if (op->kind == RECORD) {
            op->event->where = stream;
            copy.number = ++op->event->recorded;
        }
        if (op->kind == WAIT) {
            copy.where = op->event->where;
            copy.number = op->event->recorded;
        }
        put(stream, copy);
    }
    *count("puts") = puts;
    ++*count("launches");
    return leave(SUCCESS);
}
int cuGraphExecDestroy(void *exec) { ENTER(1); return destroy(exec, EXEC); }
int cuGraphDestroy(void *graph) { ENTER(1); return destroy(graph, GRAPH); }

/* ---- names ---- */

int cuGetErrorName(int code, const char **name) {
    *name = NULL;
    for (size_t i = 0; i < sizeof ERRORS / sizeof *ERRORS; i++)
        if (ERRORS[i].code == code) *name = ERRORS[i].name;
    return *name ? SUCCESS : INVALID_VALUE;
}
int cuGetErrorString(int code, const char **text) {
    *text = NULL;
    for (size_t i = 0; i < sizeof ERRORS / sizeof *ERRORS; i++)
        if (ERRORS[i].code == code) *text = ERRORS[i].text;
    return *text ? SUCCESS : INVALID_VALUE;
}

static int unsupported(void) { ++*count("unsupported"); return NOT_SUPPORTED; }

/* How cuda-bindings finds functions. Of names with several signatures those above are the ones from before CUDA 13. */
int cuGetProcAddress_v2(const char *name, void **function, int version, uint64_t flags, int *status) {
    (void)flags;
    Dl_info self;
    *function = NULL;
    if (version < 13000 && dladdr(&mutex, &self))
        *function = dlsym(dlopen(self.dli_fname, RTLD_LAZY | RTLD_NOLOAD), name);
    if (!*function) *function = (void *)unsupported;
    if (status) *status = 0;
    return SUCCESS;
}
