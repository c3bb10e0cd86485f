/* threads ENGINE: threads that Python did not make use one handle, which yet another thread opened, and which is closed
 * while calls run. The exit code is 0 where every answer was right. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <yolact.h>

enum { THREADS = 4, ROUNDS = 8, HEIGHT = 30, WIDTH = 50 };

static const char* engine;
static yolact_handle shared;
static uint8_t pixels[HEIGHT * WIDTH * 3];

static void* open_shared(void* status)
{
    *(yolact_status*)status = yolact_open(engine, NULL, &shared);
    return NULL;
}

/* Infers, and in between fails on purpose: each thread must read the sentence about its own call. */
static void* infer(void* number)
{
    yolact_image image = {pixels, HEIGHT, WIDTH, WIDTH * 3, YOLACT_FORMAT_BGR};
    for (int round = 0; round < ROUNDS; round++) {
        yolact_results* results;
        if (yolact_infer(shared, &image, 1, &results) != YOLACT_OK)
            return "yolact_infer failed";
        size_t count = results->images[0].count;
        yolact_results_free(results);
        if (count != 3)
            return "another number of detections";
        char expected[32];
        snprintf(expected, sizeof expected, "got %d", 1000 + *(int*)number);
        yolact_image wrong = image;
        wrong.stride = (size_t)(1000 + *(int*)number);
        wrong.width = 4000;
        if (yolact_infer(shared, &wrong, 1, &results) != YOLACT_ERROR_IMAGE || !strstr(yolact_last_error(), expected))
            return "another thread's sentence";
    }
    return NULL;
}

/* Infers until the handle is closed, which must lead to a status and to nothing worse. */
static void* infer_until_closed(void* unused)
{
    (void)unused;
    yolact_image image = {pixels, HEIGHT, WIDTH, WIDTH * 3, YOLACT_FORMAT_BGR};
    yolact_status status = YOLACT_OK;
    while (status == YOLACT_OK) {
        yolact_results* results;
        status = yolact_infer(shared, &image, 1, &results);
        yolact_results_free(results);
    }
    return status == YOLACT_ERROR_HANDLE ? NULL : "closing gave another status";
}

static int run(void* (*body)(void*), int close_meanwhile)
{
    pthread_t threads[THREADS];
    int numbers[THREADS], failures = 0;
    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i;
        pthread_create(&threads[i], NULL, body, &numbers[i]);
    }
    if (close_meanwhile && yolact_close(shared) != YOLACT_OK)
        failures++;
    for (int i = 0; i < THREADS; i++) {
        void* sentence;
        pthread_join(threads[i], &sentence);
        if (sentence) {
            fprintf(stderr, "thread %d: %s (%s)\n", i, (char*)sentence, yolact_last_error());
            failures++;
        }
    }
    return failures;
}

int main(int argc, char** argv)
{
    engine = argc > 1 ? argv[1] : "";
    memset(pixels, 200, sizeof pixels);
    pthread_t opener;
    yolact_status status;
    pthread_create(&opener, NULL, open_shared, &status);
    pthread_join(opener, NULL);
    if (status != YOLACT_OK) {
        fprintf(stderr, "yolact_open: %s\n", yolact_status_string(status));
        return 1;
    }
    return run(infer, 0) + run(infer_until_closed, 1);
}
