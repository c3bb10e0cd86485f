/* From the body of a request to detections: a bounded queue, threads that decode, and one that runs batches.
 *
 *   waiting (encoded) --decode threads--> ready (pixels) --batch thread--> answered
 *
 * Images that become ready while the engine is busy are its next batch, so batches grow with the load and nothing waits
 * without it. Only what is next is decoded, since pixels take many times the memory of a JPEG. */
#ifndef PIPELINE_H
#define PIPELINE_H

#include <pthread.h>
#include <yolact.h>

#include "options.h"

/* The results of a batch, freed with the last of its jobs. */
typedef struct batch_results {
    yolact_results* results;
    size_t users;
} batch_results;

/* One image. The caller sets `body`, `size` and, for raw pixels, `image`; the rest is the pipeline's. */
typedef struct job {
    const unsigned char* body;
    size_t size;
    yolact_image image; /* its data is `body` for raw pixels, NULL for a file that is to be decoded */

    int status; /* of HTTP; 200 with `found`, others with `problem` */
    const yolact_detections* found;
    char problem[2048];
    double wait_seconds; /* until a thread took it */
    double engine_seconds;
    size_t batch; /* images that ran together */

    double entered;
    int is_decoded; /* `image` owns its pixels */
    int is_done;
    pthread_cond_t done;
    batch_results* shared;
    struct job* next;
} job;

/* Seconds on a clock that only goes forward. */
double now(void);

/* Starts the threads; 0 where that fails. */
int start_pipeline(const options* settings, yolact_handle handle);

/* Waits until the job is answered. A full queue answers at once, with 503. */
void run_job(job* work);

/* Frees what run_job left in the job, which is every job's end. */
void finish_job(job* work);

/* Whether a job would get 503 now. */
int is_queue_full(void);

size_t queue_depth(void);

/* Ends the threads once all jobs are answered. */
void stop_pipeline(void);

#endif
