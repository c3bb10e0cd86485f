/* Decodes the body of a job to pixels. */
#ifndef DECODING_H
#define DECODING_H

#include "pipeline.h"

/* The HTTP status for a status of the library. */
int http_status(yolact_status status);

/* Gives the job its pixels. Returns the HTTP status; where that is not 200, the job's `problem` says why. */
int decode_job(job* work, size_t max_pixels);

#endif
