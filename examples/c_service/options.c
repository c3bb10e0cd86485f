#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: yolact-service --engine FILE [options]\n"
    "\n"
    "Serves POST /v1/infer, GET /healthz, GET /metrics and KServe's V2 protocol, GET /v2, until SIGTERM.\n"
    "\n"
    "  --engine FILE          yolact.onnx or yolact.plan\n"
    "  --host ADDRESS         where to listen [127.0.0.1; 0.0.0.0 for every network, which has no access control]\n"
    "  --port N               port to listen on [8080; 0: a free one, which the first line names]\n"
    "  --device NAME          cpu, cuda, cuda:1, tensorrt, openvino, openvino:GPU [an ONNX file on the CPU, a plan on "
    "GPU 0]\n"
    "  --precision file|auto  as exact as the file says, or, with openvino, the quickest on the device [file]\n"
    "  --threads N            CPU threads for an ONNX file [0: one for each physical core]\n"
    "  --allow-host-code      let TensorRT run code that the plan carries; only for plans you trust\n"
    "  --score-threshold X    leave out detections that do not score above it [0.15]\n"
    "  --top-k N              detections of an image at most, 0 for all [15]\n"
    "  --max-batch N          images that run together, if the engine file takes so many, and of one V2 request at "
    "most [8]\n"
    "  --batch-wait-ms X      how long an image waits for others [0: no longer than the engine is busy]\n"
    "  --queue N              requests that wait for the engine; one more is answered 503 [64]\n"
    "  --connections N        connections open at once; others wait [256]\n"
    "  --max-body-mb X        larger requests are answered 413 [16]\n"
    "  --max-megapixels X     larger images are answered 413 [40]\n"
    "  --timeout SECONDS      most time to send a request, to take its answer, and in the queue [10]\n"
    "  --drain-limit SECONDS  most time for requests under way after SIGTERM [30]\n";

static int mistake(const char* name, const char* expected, const char* got)
{
    fprintf(stderr, "Error: --%s: expected %s, got %s\n", name, expected, got);
    return 2;
}

/* Reads a whole number from `low` to `high`. Returns 0, having reported it, where the text is none. */
static int read_count(const char* name, const char* got, long long low, long long high, long long* to)
{
    char *end, expected[96];
    errno = 0;
    *to = strtoll(got, &end, 10);
    if (*got >= '0' && *got <= '9' && !*end && !errno && *to >= low && *to <= high)
        return 1;
    snprintf(expected, sizeof expected, "a whole number from %lld to %lld", low, high);
    mistake(name, expected, got);
    return 0;
}

static int read_number(const char* name, const char* got, double low, double high, double* to)
{
    char *end, expected[96];
    *to = strtod(got, &end);
    if (*got && !*end && *to >= low && *to <= high) /* false for nan */
        return 1;
    snprintf(expected, sizeof expected, "a number from %g to %g", low, high);
    mistake(name, expected, got);
    *to = low; /* what callers can convert to any type */
    return 0;
}

enum {
    ENGINE,
    HOST,
    PORT,
    DEVICE,
    PRECISION,
    THREADS,
    HOST_CODE,
    SCORE_THRESHOLD,
    TOP_K,
    MAX_BATCH,
    BATCH_WAIT,
    QUEUE,
    CONNECTIONS,
    MAX_BODY,
    MAX_PIXELS,
    TIMEOUT,
    DRAIN_LIMIT,
    HELP
};

static const struct option names[] = {
    {"engine", required_argument, NULL, ENGINE},
    {"host", required_argument, NULL, HOST},
    {"port", required_argument, NULL, PORT},
    {"device", required_argument, NULL, DEVICE},
    {"precision", required_argument, NULL, PRECISION},
    {"threads", required_argument, NULL, THREADS},
    {"allow-host-code", no_argument, NULL, HOST_CODE},
    {"score-threshold", required_argument, NULL, SCORE_THRESHOLD},
    {"top-k", required_argument, NULL, TOP_K},
    {"max-batch", required_argument, NULL, MAX_BATCH},
    {"batch-wait-ms", required_argument, NULL, BATCH_WAIT},
    {"queue", required_argument, NULL, QUEUE},
    {"connections", required_argument, NULL, CONNECTIONS},
    {"max-body-mb", required_argument, NULL, MAX_BODY},
    {"max-megapixels", required_argument, NULL, MAX_PIXELS},
    {"timeout", required_argument, NULL, TIMEOUT},
    {"drain-limit", required_argument, NULL, DRAIN_LIMIT},
    {"help", no_argument, NULL, HELP},
    {NULL, 0, NULL, 0}};

static int read_int32(const char* name, const char* got, int32_t high, int32_t* to)
{
    long long count = 0;
    int ok = read_count(name, got, 0, high, &count);
    *to = (int32_t)count;
    return ok;
}

static int read_size(const char* name, const char* got, size_t high, size_t* to)
{
    long long count = 0;
    int ok = read_count(name, got, 1, (long long)high, &count);
    *to = (size_t)count;
    return ok;
}

static int read_millions(const char* name, const char* got, double high, size_t* to)
{
    double millions = 0;
    int ok = read_number(name, got, 0.001, high, &millions);
    *to = (size_t)(millions * 1e6);
    return ok;
}

/* Reads one option into `to`. Returns 0, having reported it, where its value is wrong. */
static int read_option(int option, options* to)
{
    const char *name = names[option].name, *got = optarg;
    long long port;
    double number = 0;
    int ok = 1;
    switch (option) {
    case ENGINE: to->engine = got; break;
    case HOST: to->host = got; break;
    case PORT: ok = read_count(name, to->port = got, 0, 65535, &port); break;
    case DEVICE: to->detector.device = got; break;
    case PRECISION: to->detector.precision = got; break;
    case THREADS: ok = read_int32(name, got, 1024, &to->detector.threads); break;
    case HOST_CODE: to->detector.allow_host_code = 1; break;
    case SCORE_THRESHOLD:
        ok = read_number(name, got, 0, 1, &number);
        to->detector.score_threshold = (float)number;
        break;
    case TOP_K: ok = read_int32(name, got, INT32_MAX, &to->detector.top_k); break;
    case MAX_BATCH: ok = read_size(name, got, 1024, &to->max_batch); break;
    case BATCH_WAIT:
        ok = read_number(name, got, 0, 10000, &number);
        to->batch_wait = number / 1e3;
        break;
    case QUEUE: ok = read_size(name, got, 100000, &to->queue_size); break;
    case CONNECTIONS: ok = read_size(name, got, 10000, &to->connections); break;
    case MAX_BODY: ok = read_millions(name, got, 2000, &to->max_body); break;
    case MAX_PIXELS: ok = read_millions(name, got, 1000, &to->max_pixels); break;
    case TIMEOUT: ok = read_number(name, got, 0.1, 3600, &to->timeout); break;
    case DRAIN_LIMIT: ok = read_number(name, got, 0, 3600, &to->drain_limit); break;
    default: ok = 0;
    }
    return ok;
}

int read_options(int argc, char** argv, options* to)
{
    yolact_options detector = YOLACT_OPTIONS_DEFAULT;
    detector.top_k = 15;
    *to = (options){NULL, "127.0.0.1", "8080", detector, 8, 0, 64, 256, 16 * 1000 * 1000, 40 * 1000 * 1000, 10.0, 30.0};
    int option;
    while ((option = getopt_long(argc, argv, "h", names, NULL)) != -1) {
        if (option == HELP || option == 'h') {
            fputs(usage, stdout);
            return -1;
        }
        if (option == '?' || !read_option(option, to)) {
            fputs("Try yolact-service --help.\n", stderr);
            return 2;
        }
    }
    if (optind < argc || !to->engine) {
        fprintf(
            stderr, "Error: expected --engine FILE and options, got %s\nTry yolact-service --help.\n",
            optind < argc ? argv[optind] : "no --engine");
        return 2;
    }
    return 0;
}
