/* yolact-service: instance masks over HTTP, from an engine file behind libyolact. See README.md. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "connections.h"
#include "ending.h"
#include "options.h"
#include "pipeline.h"
#include "server.h"

enum { FAILED = 1, ENGINE_DOES_NOT_FIT = 4 };

static int report(int code)
{
    fprintf(stderr, "Error: %s\n", yolact_last_error());
    return code;
}

/* Opens the engine and runs it once, so that the first request is as quick as the others. */
static yolact_status open_model(const options* settings, model* to)
{
    static const uint8_t black[64 * 64 * 3];
    const yolact_image image = {black, 64, 64, 64 * 3, YOLACT_FORMAT_BGR};
    yolact_results* results;
    yolact_status status = yolact_open(settings->engine, &settings->detector, &to->detector);
    if (status != YOLACT_OK)
        return status;
    status = yolact_infer(to->detector, &image, 1, &results);
    to->outputs = status == YOLACT_OK && results->images[0].mask_scores ? TENSORS : MASK_SCORES;
    to->most_images = settings->max_batch < settings->queue_size ? settings->max_batch : settings->queue_size;
    yolact_results_free(results);
    return status;
}

/* Says to the library, which reads it when Python starts, how large images may be. */
static void set_pixel_limit(size_t pixels)
{
    char number[24];
    snprintf(number, sizeof number, "%zu", pixels);
    setenv("YOLACT_MAX_PIXELS", number, 1);
}

static int report_threads(void)
{
    fputs("Error: cannot start threads; lower the load of this machine or raise its limits\n", stderr);
    return FAILED;
}

static int serve(const options* settings, const model* of)
{
    if (!start_pipeline(settings, of->detector) || !watch_connections(settings->timeout))
        return report_threads();
    begin_serving();
    if (!start_server(settings, of))
        return FAILED;
    int number = await_signal();
    fprintf(stderr, "%s: answering the requests under way\n", strsignal(number));
    size_t left = stop_server();
    if (left > 0) {
        fprintf(stderr, "Error: %zu connections were cut off after %g s\n", left, settings->drain_limit);
        _exit(FAILED); /* exit would wait for stdout, which one of their threads may hold */
    }
    stop_pipeline();
    return 0;
}

int main(int argc, char** argv)
{
    options settings;
    int mistake = read_options(argc, argv, &settings);
    if (mistake)
        return mistake < 0 ? 0 : mistake;
    setvbuf(stdout, NULL, _IOLBF, 0); /* by lines: the log is read while it is written */
    signal(SIGPIPE, SIG_IGN);
    if (!watch_signals())
        return report_threads();
    set_pixel_limit(settings.max_pixels);

    model served;
    yolact_status status = open_model(&settings, &served);
    if (status != YOLACT_OK)
        return report(
            status == YOLACT_ERROR_ENGINE     ? ENGINE_DOES_NOT_FIT
            : status == YOLACT_ERROR_ARGUMENT ? 2
                                              : FAILED);
    int code = serve(&settings, &served);
    yolact_close(served.detector);
    return code;
}
