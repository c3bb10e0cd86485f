#include "pipeline.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "decoding.h"
#include "job_list.h"
#include "metrics.h"

enum { MAX_DECODERS = 8 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t waiting_changed = PTHREAD_COND_INITIALIZER;
static pthread_cond_t ready_changed; /* its waiting ends by the clock of now() */
static pthread_cond_t ready_has_room = PTHREAD_COND_INITIALIZER;
static job_list waiting, ready;
static size_t decoding;
static int is_stopping;

static const options* settings;
static yolact_handle detector;
static size_t max_batch;
static pthread_t decoders[MAX_DECODERS], batcher;
static size_t decoder_count;

double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static struct timespec as_time(double seconds)
{
    return (struct timespec){(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
}

/* Makes a condition for which one can wait until a time of now(). */
static void init_condition(pthread_cond_t* condition)
{
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &clock);
    pthread_condattr_destroy(&clock);
}

/* How many requests wait for the engine, decoded or not. The caller holds the lock. */
static size_t depth(void) { return waiting.count + decoding + ready.count; }

/* Answers a job. The caller holds the lock; once the lock is free, the thread that waits for the job may free the job.
 */
static void answer(job* work, int status)
{
    work->status = status;
    work->is_done = 1;
    pthread_cond_signal(&work->done);
}

static void* run_decoder(void* unused)
{
    (void)unused;
    pthread_mutex_lock(&lock);
    for (;;) {
        while (waiting.count == 0 && !is_stopping)
            pthread_cond_wait(&waiting_changed, &lock);
        if (waiting.count == 0)
            break;
        if (ready.count + decoding >= 2 * max_batch) {
            pthread_cond_wait(&ready_has_room, &lock);
            continue;
        }
        job* work = pop_job(&waiting);
        decoding++;
        pthread_mutex_unlock(&lock);
        work->wait_seconds = now() - work->entered;
        int status = decode_job(work, settings->max_pixels);
        pthread_mutex_lock(&lock);
        decoding--;
        if (status == 200)
            push_job(&ready, work);
        else
            answer(work, status);
        pthread_cond_signal(&ready_changed);
        pthread_cond_signal(&ready_has_room);
    }
    pthread_mutex_unlock(&lock);
    return NULL;
}

/* Waits for jobs that are ready and takes up to a batch of them. Returns their number, 0 once there will be no more.
 * The caller holds the lock. */
static size_t take_batch(job** batch)
{
    while (ready.count == 0) {
        if (is_stopping && waiting.count == 0 && decoding == 0)
            return 0;
        pthread_cond_wait(&ready_changed, &lock);
    }
    struct timespec end = as_time(now() + settings->batch_wait);
    while (settings->batch_wait > 0 && ready.count < max_batch && !is_stopping)
        if (pthread_cond_timedwait(&ready_changed, &lock, &end) != 0)
            break;
    size_t count = 0;
    while (count < max_batch && ready.count > 0)
        batch[count++] = pop_job(&ready);
    pthread_cond_broadcast(&ready_has_room);
    return count;
}

/* Runs jobs as one batch and answers them. */
static void run_batch(job** batch, yolact_image* images, size_t count)
{
    for (size_t i = 0; i < count; i++)
        images[i] = batch[i]->image;
    batch_results* shared = calloc(1, sizeof *shared);
    double start = now();
    yolact_status status = YOLACT_ERROR_MEMORY;
    if (shared)
        status = yolact_infer(detector, images, count, &shared->results);
    double seconds = now() - start;
    count_batch(count, seconds);
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < count; i++) {
        batch[i]->engine_seconds = seconds;
        batch[i]->batch = count;
        if (status == YOLACT_OK) {
            batch[i]->found = &shared->results->images[i];
            batch[i]->shared = shared;
            shared->users++;
        } else {
            snprintf(
                batch[i]->problem, sizeof batch[i]->problem, "%s", shared ? yolact_last_error() : "memory ran out");
        }
        answer(batch[i], http_status(status));
    }
    pthread_mutex_unlock(&lock);
    if (status != YOLACT_OK)
        free(shared);
}

static void* run_batcher(void* unused)
{
    (void)unused;
    job** batch = calloc(max_batch, sizeof(job*));
    yolact_image* images = calloc(max_batch, sizeof(yolact_image));
    if (!batch || !images) {
        fputs("Error: memory ran out at the start\n", stderr);
        _exit(1);
    }
    pthread_mutex_lock(&lock);
    size_t count;
    while ((count = take_batch(batch)) > 0) {
        pthread_mutex_unlock(&lock);
        run_batch(batch, images, count);
        pthread_mutex_lock(&lock);
    }
    pthread_mutex_unlock(&lock);
    free(batch);
    free(images);
    return NULL;
}

int start_pipeline(const options* chosen, yolact_handle opened)
{
    settings = chosen;
    detector = opened;
    size_t engine_batch = (size_t)yolact_max_batch(opened);
    max_batch = chosen->max_batch < engine_batch ? chosen->max_batch : engine_batch;
    init_condition(&ready_changed);
    if (pthread_create(&batcher, NULL, run_batcher, NULL) != 0)
        return 0;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    while (decoder_count < MAX_DECODERS && (long)decoder_count < cores)
        if (pthread_create(&decoders[decoder_count++], NULL, run_decoder, NULL) != 0)
            return 0;
    return 1;
}

/* Waits until the job is answered. Answers it with 503 where no thread has taken it in time. The caller holds the lock.
 */
static void await(job* work)
{
    struct timespec end = as_time(work->entered + settings->timeout);
    int is_late = 0;
    while (!work->is_done) {
        if (is_late) /* a job that a thread has taken is that thread's until it is done */
            pthread_cond_wait(&work->done, &lock);
        else
            is_late = pthread_cond_timedwait(&work->done, &lock, &end) != 0;
        if (is_late && !work->is_done && remove_job(&waiting, work)) {
            snprintf(
                work->problem, sizeof work->problem, "the queue took longer than %g s; try later", settings->timeout);
            answer(work, 503);
        }
    }
}

/* Queues the jobs, where there is room for all. Returns whether there was. The caller holds the lock. */
static int queue(job* jobs, size_t count)
{
    size_t before = depth();
    if (is_stopping || before + count > settings->queue_size) {
        for (size_t i = 0; i < count; i++) {
            snprintf(jobs[i].problem, sizeof jobs[i].problem, "%zu requests wait already; try later", before);
            jobs[i].status = 503;
        }
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        push_job(&waiting, &jobs[i]);
        pthread_cond_signal(&waiting_changed);
    }
    return 1;
}

/* Frees the pixels that a thread decoded. */
static void free_pixels(job* work)
{
    if (work->is_decoded) {
        yolact_image pixels = work->image; /* a copy: the job's height and width stay for the answer */
        yolact_image_free(&pixels);
    }
    work->image.data = NULL;
}

void run_jobs(job* jobs, size_t count)
{
    double entered = now();
    for (size_t i = 0; i < count; i++) {
        init_condition(&jobs[i].done);
        jobs[i].entered = entered;
    }
    pthread_mutex_lock(&lock);
    if (queue(jobs, count))
        for (size_t i = 0; i < count; i++)
            await(&jobs[i]);
    pthread_mutex_unlock(&lock);
    for (size_t i = 0; i < count; i++) {
        pthread_cond_destroy(&jobs[i].done);
        free_pixels(&jobs[i]);
    }
}

static void finish_job(job* work)
{
    if (!work->shared)
        return;
    pthread_mutex_lock(&lock);
    size_t users = --work->shared->users;
    pthread_mutex_unlock(&lock);
    if (users > 0)
        return;
    yolact_results_free(work->shared->results);
    free(work->shared);
}

void finish_jobs(job* jobs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        finish_job(&jobs[i]);
}

int is_queue_full(void)
{
    pthread_mutex_lock(&lock);
    int is_full = depth() >= settings->queue_size;
    pthread_mutex_unlock(&lock);
    return is_full;
}

size_t queue_depth(void)
{
    pthread_mutex_lock(&lock);
    size_t count = depth();
    pthread_mutex_unlock(&lock);
    return count;
}

void stop_pipeline(void)
{
    pthread_mutex_lock(&lock);
    is_stopping = 1;
    pthread_cond_broadcast(&waiting_changed);
    pthread_cond_broadcast(&ready_changed);
    pthread_cond_broadcast(&ready_has_room);
    pthread_mutex_unlock(&lock);
    for (size_t i = 0; i < decoder_count; i++)
        pthread_join(decoders[i], NULL);
    pthread_join(batcher, NULL);
}
