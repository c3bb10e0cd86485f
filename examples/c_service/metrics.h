/* Counters of the service in Prometheus' text format. Any thread may call any of these. */
#ifndef METRICS_H
#define METRICS_H

#include <stddef.h>

#include "text.h"

/* A request that was answered, with its HTTP status. */
void count_request(int status);

/* A request that got detections: seconds from its headers to its answer, and how many were found. */
void count_detections(double seconds, size_t detections);

/* A batch that ran. */
void count_batch(size_t images, double seconds);

/* `queue_depth` requests wait for the engine of `queue_size` at most, `connections` are open. */
void write_metrics(text* to, size_t queue_depth, size_t queue_size, size_t connections);

#endif
