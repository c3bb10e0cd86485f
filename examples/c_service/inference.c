#include "inference.h"

#include <stdio.h>
#include <stdlib.h>

#include "inference_answer.h"
#include "inference_request.h"
#include "metrics.h"

static double greater(double one, double other) { return one > other ? one : other; }

/* Keeps the longest times for the log. */
static void remember_times(job* to, const job* done)
{
    to->wait_seconds = greater(to->wait_seconds, done->wait_seconds);
    to->engine_seconds = greater(to->engine_seconds, done->engine_seconds);
    to->batch = done->batch > to->batch ? done->batch : to->batch;
}

/* The status of all images together: that of the first which failed. */
static int judge(request* of, const job* jobs, size_t count)
{
    int status = 200;
    for (size_t i = 0; i < count; i++) {
        remember_times(&of->work, &jobs[i]);
        if (status != 200 || jobs[i].status == 200)
            continue;
        status = jobs[i].status;
        int prefix = 0; /* which image it is, where that is in doubt and it is the image that is at fault */
        if (count > 1 && status < 500)
            prefix = snprintf(of->work.problem, sizeof of->work.problem, "image %zu of %zu: ", i + 1, count);
        snprintf(
            of->work.problem + prefix, sizeof of->work.problem - (size_t)prefix, "%.*s",
            (int)sizeof of->work.problem - 1 - prefix, jobs[i].problem);
    }
    return status;
}

static void write_answer(request* of, const inference_request* asked, const job* jobs, text* answer)
{
    size_t detections = 0;
    for (size_t i = 0; i < asked->image_count; i++)
        detections += jobs[i].found->count;
    of->answer_json_size = write_inference_answer(answer, asked, jobs);
    count_detections(now() - of->started, detections);
}

/* Runs the request. Returns the HTTP status. */
static int run_images(request* of, const inference_request* asked, text* answer)
{
    job* jobs = calloc(asked->image_count, sizeof *jobs);
    if (!jobs) {
        snprintf(of->work.problem, sizeof of->work.problem, "memory ran out; try later");
        return 503;
    }
    for (size_t i = 0; i < asked->image_count; i++) {
        jobs[i].body = asked->images[i].data;
        jobs[i].size = asked->images[i].size;
    }
    run_jobs(jobs, asked->image_count);
    int status = judge(of, jobs, asked->image_count);
    if (status == 200)
        write_answer(of, asked, jobs, answer);
    finish_jobs(jobs, asked->image_count);
    free(jobs);
    return status;
}

int run_inference(request* of, const model* with, text* answer)
{
    inference_request asked;
    int status = read_inference_request(&asked, of->body, of->expected, of->json_size, with);
    if (status == 200)
        status = run_images(of, &asked, answer);
    else
        snprintf(of->work.problem, sizeof of->work.problem, "%s", asked.problem);
    free_inference_request(&asked);
    return status;
}
