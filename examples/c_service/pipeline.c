#include "pipeline.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "image_header.h"
#include "metrics.h"

enum { MAX_DECODERS = 8 };

typedef struct job_list {
    job* first;
    job* last;
    size_t count;
} job_list;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t waiting_changed = PTHREAD_COND_INITIALIZER;
static pthread_cond_t ready_changed; /* on the clock of now() */
static pthread_cond_t ready_has_room = PTHREAD_COND_INITIALIZER;
static job_list waiting, ready;
static size_t decoding;
static int is_stopping;

static const options* settings;
static yolact_handle handle;
static size_t max_batch;
static pthread_t decoders[MAX_DECODERS], batcher;
static size_t decoder_count;

double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void push(job_list* list, job* work)
{
    work->next = NULL;
    if (list->last)
        list->last->next = work;
    else
        list->first = work;
    list->last = work;
    list->count++;
}

static job* pop(job_list* list)
{
    job* work = list->first;
    list->first = work->next;
    if (!list->first)
        list->last = NULL;
    list->count--;
    return work;
}

/* With the lock held: requests that wait for the engine, in whichever form. */
static size_t depth(void) { return waiting.count + decoding + ready.count; }

/* With the lock held: the waiting thread may free the job as soon as it is released. */
static void answer(job* work, int status)
{
    work->status = status;
    work->is_done = 1;
    pthread_cond_signal(&work->done);
}

static int http_status(yolact_status status)
{
    switch (status) {
    case YOLACT_OK: return 200;
    case YOLACT_ERROR_IMAGE: return 400;
    case YOLACT_ERROR_MEMORY: return 503;
    default: return 500;
    }
}

/* The HTTP status for what the header says; the image is decoded only for 200. */
static int check_header(job* work)
{
    uint32_t width, height;
    if (read_image_header(work->body, work->size, &width, &height) == KIND_OTHER) {
        snprintf(
            work->problem, sizeof work->problem,
            "expected a JPEG or PNG file as the body, got %zu bytes of something else; convert the image, or send raw "
            "pixels with X-Image-Width, X-Image-Height and X-Image-Format",
            work->size);
        return 415;
    }
    if ((uint64_t)width * height <= settings->max_pixels)
        return 200;
    snprintf(
        work->problem, sizeof work->problem,
        "expected an image of at most %zu pixels, got %lux%lu; make it smaller, the network sees fewer anyway",
        settings->max_pixels, (unsigned long)width, (unsigned long)height);
    return 413;
}

/* Pixels for the job; the HTTP status. */
static int decode(job* work)
{
    if (now() - work->entered > settings->timeout) {
        snprintf(work->problem, sizeof work->problem, "the queue took longer than %g s; try later", settings->timeout);
        return 503;
    }
    if (work->image.data)
        return 200;
    int http = check_header(work);
    if (http != 200)
        return http;
    yolact_status status = yolact_image_decode(work->body, work->size, &work->image);
    work->is_decoded = status == YOLACT_OK;
    if (status != YOLACT_OK)
        snprintf(work->problem, sizeof work->problem, "%s", yolact_last_error());
    return http_status(status);
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
        job* work = pop(&waiting);
        decoding++;
        pthread_mutex_unlock(&lock);
        work->wait_seconds = now() - work->entered;
        int status = decode(work);
        pthread_mutex_lock(&lock);
        decoding--;
        if (status == 200)
            push(&ready, work);
        else
            answer(work, status);
        pthread_cond_signal(&ready_changed);
        pthread_cond_signal(&ready_has_room);
    }
    pthread_mutex_unlock(&lock);
    return NULL;
}

/* With the lock held: up to a batch of jobs that are ready, 0 of them at the end. */
static size_t take_batch(job** batch)
{
    while (ready.count == 0) {
        if (is_stopping && waiting.count == 0 && decoding == 0)
            return 0;
        pthread_cond_wait(&ready_changed, &lock);
    }
    double until = now() + settings->batch_wait;
    struct timespec end = {(time_t)until, (long)((until - (double)(time_t)until) * 1e9)};
    while (settings->batch_wait > 0 && ready.count < max_batch && !is_stopping)
        if (pthread_cond_timedwait(&ready_changed, &lock, &end) != 0)
            break;
    size_t count = 0;
    while (count < max_batch && ready.count > 0)
        batch[count++] = pop(&ready);
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
        status = yolact_infer(handle, images, count, &shared->results);
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
    handle = opened;
    size_t engine_batch = (size_t)yolact_max_batch(opened);
    max_batch = chosen->max_batch < engine_batch ? chosen->max_batch : engine_batch;
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&ready_changed, &clock);
    pthread_condattr_destroy(&clock);
    if (pthread_create(&batcher, NULL, run_batcher, NULL) != 0)
        return 0;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    while (decoder_count < MAX_DECODERS && (long)decoder_count < cores)
        if (pthread_create(&decoders[decoder_count++], NULL, run_decoder, NULL) != 0)
            return 0;
    return 1;
}

void run_job(job* work)
{
    pthread_cond_init(&work->done, NULL);
    work->entered = now();
    pthread_mutex_lock(&lock);
    if (depth() < settings->queue_size && !is_stopping) {
        push(&waiting, work);
        pthread_cond_signal(&waiting_changed);
        while (!work->is_done)
            pthread_cond_wait(&work->done, &lock);
    } else {
        snprintf(work->problem, sizeof work->problem, "%zu requests wait already; try later", depth());
        work->status = 503;
    }
    pthread_mutex_unlock(&lock);
    pthread_cond_destroy(&work->done);
    if (work->is_decoded) {
        yolact_image pixels = work->image; /* height and width stay for the answer */
        yolact_image_free(&pixels);
    }
    work->image.data = NULL;
}

void finish_job(job* work)
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
