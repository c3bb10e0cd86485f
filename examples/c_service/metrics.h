/* Counts what the service does, and writes the counters in Prometheus' text format. Any thread may call any of these.
 */
#ifndef METRICS_H
#define METRICS_H

#include <stddef.h>

#include "text.h"

/* Counts a request that was answered with this HTTP status. */
void count_request(int status);

/* Counts a request that was answered with detections: the seconds from its headers to its answer, and how many there
 * are. */
void count_detections(double seconds, size_t detections);

/* Counts a batch that ran. */
void count_batch(size_t images, double seconds);

/* Writes all counters, and that `queue_depth` requests wait for the engine, that `queue_size` may, and that
 * `connections` are open. */
void write_metrics(text* to, size_t queue_depth, size_t queue_size, size_t connections);

#endif
