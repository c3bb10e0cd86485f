#include "metrics.h"

#include <pthread.h>

enum { MAX_BUCKETS = 16, MAX_STATUS = 600 };

typedef struct histogram {
    const char* name;
    const char* help;
    double bounds[MAX_BUCKETS]; /* ascending; a 0 ends them */
    unsigned long long counts[MAX_BUCKETS + 1];
    double sum;
} histogram;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned long long requests[MAX_STATUS];
static unsigned long long all_detections;

static histogram latency = {
    "yolact_request_seconds",
    "Seconds from the headers of a request for detections to its answer.",
    {0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20},
    {0},
    0};
static histogram engine_time = {
    "yolact_engine_seconds",
    "Seconds of one run of a batch, from pixels to masks.",
    {0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20},
    {0},
    0};
static histogram batch_size = {"yolact_batch_images", "Images in a batch.", {1, 2, 4, 8, 16, 32, 64}, {0}, 0};

static void add(histogram* to, double value)
{
    int bucket = 0;
    while (bucket < MAX_BUCKETS && to->bounds[bucket] > 0 && value > to->bounds[bucket])
        bucket++;
    to->counts[bucket]++;
    to->sum += value;
}

void count_request(int status)
{
    pthread_mutex_lock(&lock);
    if (status >= 0 && status < MAX_STATUS)
        requests[status]++;
    pthread_mutex_unlock(&lock);
}

void count_detections(double seconds, size_t detections)
{
    pthread_mutex_lock(&lock);
    add(&latency, seconds);
    all_detections += detections;
    pthread_mutex_unlock(&lock);
}

void count_batch(size_t images, double seconds)
{
    pthread_mutex_lock(&lock);
    add(&batch_size, (double)images);
    add(&engine_time, seconds);
    pthread_mutex_unlock(&lock);
}

static void head(text* to, const char* name, const char* type, const char* help)
{
    text_format(to, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void write_histogram(text* to, const histogram* from)
{
    unsigned long long below = 0;
    head(to, from->name, "histogram", from->help);
    int bucket = 0;
    for (; bucket < MAX_BUCKETS && from->bounds[bucket] > 0; bucket++) {
        below += from->counts[bucket];
        text_format(to, "%s_bucket{le=\"%g\"} %llu\n", from->name, from->bounds[bucket], below);
    }
    below += from->counts[bucket];
    text_format(to, "%s_bucket{le=\"+Inf\"} %llu\n", from->name, below);
    text_format(to, "%s_sum %.6f\n%s_count %llu\n", from->name, from->sum, from->name, below);
}

static void write_gauge(text* to, const char* name, const char* help, size_t value)
{
    head(to, name, "gauge", help);
    text_format(to, "%s %zu\n", name, value);
}

void write_metrics(text* to, size_t queue_depth, size_t queue_size, size_t connections)
{
    pthread_mutex_lock(&lock);
    unsigned long long errors = 0;
    head(to, "yolact_requests_total", "counter", "Answered requests by HTTP status.");
    for (int status = 0; status < MAX_STATUS; status++) {
        if (requests[status] > 0)
            text_format(to, "yolact_requests_total{code=\"%d\"} %llu\n", status, requests[status]);
        errors += status >= 400 ? requests[status] : 0;
    }
    head(to, "yolact_errors_total", "counter", "Answered requests with a status from 400.");
    text_format(to, "yolact_errors_total %llu\n", errors);
    head(to, "yolact_detections_total", "counter", "Detections in answers.");
    text_format(to, "yolact_detections_total %llu\n", all_detections);
    write_gauge(to, "yolact_queue_depth", "Requests that wait for the engine.", queue_depth);
    write_gauge(to, "yolact_queue_size", "Requests that may wait; others get 503.", queue_size);
    write_gauge(to, "yolact_connections", "Open connections.", connections);
    write_histogram(to, &latency);
    write_histogram(to, &engine_time);
    write_histogram(to, &batch_size);
    pthread_mutex_unlock(&lock);
}
