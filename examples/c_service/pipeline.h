/* From the body of a request to detections: a bounded queue, threads that decode, and one that runs batches.
 *
 *   waiting (encoded) -- decode threads --> ready (pixels) -- batch thread --> answered
 *
 * Images that become ready while the engine is busy are its next batch. So batches grow with the load, and without load
 * no image waits for another. No more than two batches are decoded ahead, since pixels take many times the memory of a
 * JPEG.
 */
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
    yolact_image image; /* its data is `body` for raw pixels, and NULL for a file that has to be decoded */

    int status; /* of HTTP: with 200 `found` is set, with any other `problem` */
    const yolact_detections* found;
    char problem[2048];
    double wait_seconds; /* until a thread began to decode it */
    double engine_seconds;
    size_t batch; /* images that ran together */

    double entered;
    int is_decoded; /* `image` owns its pixels */
    int is_done;
    pthread_cond_t done;
    batch_results* shared;
    struct job* next;
} job;

/* The time in seconds on a clock that only goes forward. */
double now(void);

/* Starts the threads; 0 where that fails. */
int start_pipeline(const options* settings, yolact_handle handle);

/* Queues jobs and waits until all are answered. Where the queue has no room for all of them, each is answered with 503
 * at once. */
void run_jobs(job* jobs, size_t count);

/* Frees what run_jobs left in the jobs. All need this in the end. */
void finish_jobs(job* jobs, size_t count);

/* Whether jobs would get 503 now. */
int is_queue_full(void);

size_t queue_depth(void);

/* Ends the threads once all jobs are answered. */
void stop_pipeline(void);

#endif
