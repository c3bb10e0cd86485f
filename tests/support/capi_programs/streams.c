/* streams ENGINE: two streams of one detector, each with a thread that submits and one that takes; then streams that
 * are closed with images in them, by themselves and with their detector. The exit code is 0 where every answer was
 * right. */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <yolact.h>

enum { STREAMS = 2, IMAGES = 24, SIDE = 40 };

static yolact_handle detector;
static yolact_stream streams[STREAMS];

/* Every third image is black: nothing is found there. The pixels are overwritten as soon as they were submitted. */
static void* submit_all(void* stream)
{
    uint8_t pixels[SIDE * SIDE * 3];
    for (int i = 0; i < IMAGES; i++) {
        memset(pixels, i % 3 ? 200 : 0, sizeof pixels);
        yolact_image image = {pixels, SIDE, SIDE - i, SIDE * 3, YOLACT_FORMAT_BGR}, wrong = image;
        wrong.stride = 1;
        if (yolact_stream_submit(*(yolact_stream*)stream, &wrong) != YOLACT_ERROR_IMAGE)
            return "an image that is none was taken";
        yolact_status status;
        while ((status = yolact_stream_submit(*(yolact_stream*)stream, &image)) == YOLACT_ERROR_FULL)
            sched_yield();
        if (status != YOLACT_OK)
            return "yolact_stream_submit failed";
        memset(pixels, 99, sizeof pixels);
    }
    return NULL;
}

static void* take_all(void* stream)
{
    for (int i = 0; i < IMAGES; i++) {
        yolact_results* results;
        yolact_status status;
        while ((status = yolact_stream_next(*(yolact_stream*)stream, &results)) == YOLACT_ERROR_EMPTY)
            sched_yield();
        if (status != YOLACT_OK)
            return "yolact_stream_next failed";
        size_t count = results->images[0].count;
        int is_right = count == (i % 3 ? 3 : 0) && (!count || results->images[0].boxes[6] == (float)(SIDE - i));
        yolact_results_free(results);
        if (!is_right)
            return "the results of another image";
    }
    return NULL;
}

static int between_threads(void)
{
    pthread_t threads[2 * STREAMS];
    int failures = 0;
    for (int i = 0; i < STREAMS; i++) {
        yolact_stream_options options = YOLACT_STREAM_OPTIONS_DEFAULT;
        options.batch_size = 1 + 2 * i;
        failures += yolact_stream_open(detector, &options, &streams[i]) != YOLACT_OK;
        pthread_create(&threads[2 * i], NULL, submit_all, &streams[i]);
        pthread_create(&threads[2 * i + 1], NULL, take_all, &streams[i]);
    }
    for (int i = 0; i < 2 * STREAMS; i++) {
        void* sentence;
        pthread_join(threads[i], &sentence);
        if (sentence) {
            fprintf(stderr, "thread %d: %s (%s)\n", i, (char*)sentence, yolact_last_error());
            failures++;
        }
    }
    return failures;
}

static void* take_until_closed(void* stream)
{
    yolact_status status = YOLACT_OK;
    while (status == YOLACT_OK || status == YOLACT_ERROR_EMPTY) {
        yolact_results* results;
        status = yolact_stream_next(*(yolact_stream*)stream, &results);
        yolact_results_free(results);
    }
    return status == YOLACT_ERROR_HANDLE ? NULL : "closing gave another status";
}

/* Closes one stream while a thread takes from it, and the detector below the other. */
static int closing(void)
{
    uint8_t pixels[SIDE * SIDE * 3] = {0};
    yolact_image image = {pixels, SIDE, SIDE, SIDE * 3, YOLACT_FORMAT_BGR};
    pthread_t thread;
    void* sentence;
    yolact_results* results;
    int failures = 0;
    for (int i = 0; i < STREAMS; i++)
        for (int j = 0; j < 2; j++)
            failures += yolact_stream_submit(streams[i], &image) != YOLACT_OK;
    pthread_create(&thread, NULL, take_until_closed, &streams[0]);
    failures += yolact_stream_close(streams[0]) != YOLACT_OK;
    pthread_join(thread, &sentence);
    failures += sentence != NULL;
    failures += yolact_stream_close(streams[0]) != YOLACT_ERROR_HANDLE;
    failures += yolact_close(detector) != YOLACT_OK;
    failures += yolact_stream_submit(streams[1], &image) != YOLACT_ERROR_HANDLE;
    failures += yolact_stream_next(streams[1], &results) != YOLACT_ERROR_HANDLE || results;
    failures += yolact_stream_close(streams[1]) != YOLACT_OK;
    if (failures)
        fprintf(stderr, "closing: %d failures (%s)\n", failures, yolact_last_error());
    return failures;
}

int main(int argc, char** argv)
{
    yolact_stream none;
    if (argc != 2 || yolact_stream_open(1, NULL, &none) != YOLACT_ERROR_HANDLE || none) /* before Python runs */
        return 1;
    if (yolact_open(argv[1], NULL, &detector) != YOLACT_OK) {
        fprintf(stderr, "yolact_open: %s\n", yolact_last_error());
        return 1;
    }
    return between_threads() + closing();
}
