/* The body of a job as pixels. */
#ifndef DECODING_H
#define DECODING_H

#include "pipeline.h"

/* The HTTP status for one of the library. */
int http_status(yolact_status status);

/* Pixels for the job. Returns the HTTP status; where it is not 200, `problem` says why. */
int decode_job(job* work, size_t max_pixels);

#endif
