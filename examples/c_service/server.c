#include "server.h"

#include <microhttpd.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "inference.h"
#include "listener.h"
#include "metrics.h"
#include "request.h"
#include "results_json.h"

static const options* settings;
static const model* served;
static struct MHD_Daemon* daemon_;
static atomic_int is_draining;

static void add_headers(struct MHD_Response* to, const request* of, int status, const char* type)
{
    MHD_add_response_header(to, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    MHD_add_response_header(to, "X-Request-Id", of->id);
    if (status == 405)
        MHD_add_response_header(to, MHD_HTTP_HEADER_ALLOW, takes_post(of->to) ? "POST" : "GET, HEAD");
    if (status == 503)
        MHD_add_response_header(to, MHD_HTTP_HEADER_RETRY_AFTER, "1");
    if (is_draining || of->must_close)
        MHD_add_response_header(to, MHD_HTTP_HEADER_CONNECTION, "close");
    if (of->answer_json_size > 0) {
        char size[24];
        snprintf(size, sizeof size, "%zu", of->answer_json_size);
        MHD_add_response_header(to, "Inference-Header-Content-Length", size);
    }
}

/* Answers with the text. Where the service is ending, the connection is closed afterwards. */
static enum MHD_Result respond(request* to, int status, const char* type, text* body)
{
    if (body->failed) {
        text_free(body);
        return MHD_NO; /* memory ran out in the middle: the client gets no answer rather than half of one */
    }
    struct MHD_Response* response = MHD_create_response_from_buffer(body->size, body->data, MHD_RESPMEM_MUST_FREE);
    if (!response) {
        text_free(body);
        return MHD_NO;
    }
    add_headers(response, to, status, type);
    to->status = status;
    to->answer_size = body->size;
    count_request(status); /* before the client has the answer, as it may then ask for the metrics */
    await_client(to->from);
    enum MHD_Result queued = MHD_queue_response(to->connection, (unsigned)status, response);
    MHD_destroy_response(response);
    return queued;
}

static enum MHD_Result refuse(request* to, int status, const char* problem)
{
    text body = {0};
    text_format(&body, "{\"error\": ");
    text_quote(&body, problem);
    text_format(&body, "}\n");
    return respond(to, status, "application/json", &body);
}

static enum MHD_Result serve_health(request* to)
{
    text body = {0};
    text_format(&body, "%s\n", is_draining ? "draining" : "ok");
    return respond(to, is_draining ? 503 : 200, "text/plain; charset=utf-8", &body);
}

static enum MHD_Result serve_metrics(request* to)
{
    text body = {0};
    write_metrics(&body, queue_depth(), settings->queue_size, open_connections());
    return respond(to, 200, "text/plain; version=0.0.4; charset=utf-8", &body);
}

/* Adds to the problem that raw pixels would be accepted too. */
static void mention_raw_pixels(job* work)
{
    size_t length = strlen(work->problem);
    snprintf(
        work->problem + length, sizeof work->problem - length,
        ", or send raw pixels with X-Image-Width, X-Image-Height and X-Image-Format");
}

static enum MHD_Result serve_detections(request* to)
{
    job* work = &to->work;
    run_jobs(work, 1);
    if (work->status != 200) {
        finish_jobs(work, 1);
        if (work->status == 415)
            mention_raw_pixels(work);
        return refuse(to, work->status, work->problem);
    }
    text body = {0};
    write_results(&body, served->detector, to->id, work->found, work->image.width, work->image.height);
    count_detections(now() - to->started, work->found->count);
    finish_jobs(work, 1);
    return respond(to, 200, "application/json", &body);
}

/* ---- KServe's V2 protocol ---- */

static enum MHD_Result serve_inference(request* to)
{
    text body = {0};
    int status = run_inference(to, served, &body);
    if (status != 200)
        return refuse(to, status, to->work.problem);
    return respond(to, 200, to->answer_json_size ? "application/octet-stream" : "application/json", &body);
}

static enum MHD_Result serve_metadata(request* to)
{
    text body = {0};
    if (to->to == V2_SERVER)
        write_server_metadata(&body);
    else
        write_model_metadata(&body, served);
    return respond(to, 200, "application/json", &body);
}

/* Says that the service lives, or that it takes requests, which it does not while it is ending. */
static enum MHD_Result serve_state(request* to)
{
    text body = {0};
    if (to->to == V2_LIVE)
        text_format(&body, "{\"live\": true}\n");
    else if (is_draining)
        return refuse(to, 503, "the service is ending; ask another one");
    else if (to->to == V2_READY)
        text_format(&body, "{\"ready\": true}\n");
    else
        text_format(&body, "{\"name\": \"" MODEL_NAME "\", \"ready\": true}\n");
    return respond(to, 200, "application/json", &body);
}

/* Answers a request whose headers are in order and whose body was read. */
static enum MHD_Result serve(request* to)
{
    switch (to->to) {
    case INFER: return serve_detections(to);
    case METRICS: return serve_metrics(to);
    case V2_INFER: return serve_inference(to);
    case V2_SERVER:
    case V2_MODEL: return serve_metadata(to);
    case V2_LIVE:
    case V2_READY:
    case V2_MODEL_READY: return serve_state(to);
    default: return serve_health(to);
    }
}

/* ---- Requests ---- */

/* Checks the request before its body is read. Returns the HTTP status; where that is not 200, `work.problem`
 * says why. */
static int check_request(request* of)
{
    if (check_framing(of) != 200)
        return 400;
    of->to = find_route(of->path.data);
    if (of->to == NOWHERE) {
        snprintf(
            of->work.problem, sizeof of->work.problem, "expected %s, got %s", known_paths(of->path.data),
            of->path.data);
        return 404;
    }
    int is_read = strcmp(of->method.data, "GET") == 0 || strcmp(of->method.data, "HEAD") == 0;
    if (takes_post(of->to) ? strcmp(of->method.data, "POST") != 0 : !is_read) {
        snprintf(
            of->work.problem, sizeof of->work.problem, "expected %s %s, got %s", takes_post(of->to) ? "POST" : "GET",
            of->path.data, of->method.data);
        return 405;
    }
    if (takes_post(of->to))
        return read_headers(of, settings);
    if (!is_endless(of, settings->max_body))
        return 200;
    snprintf(
        of->work.problem, sizeof of->work.problem, "expected %s without a body, got an endless one", of->path.data);
    return 413;
}

/* libmicrohttpd calls this once with the headers, for each piece of the body, and once after it. */
static enum MHD_Result handle_request(
    void* unused, struct MHD_Connection* connection, const char* path, const char* method, const char* version,
    const char* data, size_t* size, void** state)
{
    (void)unused, (void)version;
    request* current = *state;
    if (!current) {
        *state = current = start_request(connection, path, method);
        if (!current)
            return MHD_NO;
        await_client(current->from);
        current->verdict = check_request(current);
        /* A client that asks before it sends its body is told at once, and so is one whose body would not end. Others
         * do not listen while they send: their body is read and dropped before they are told, within the same time
         * limit as any other body. */
        int asks = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_EXPECT) != NULL ||
                   is_endless(current, settings->max_body);
        return asks && current->verdict != 200 ? refuse(current, current->verdict, current->work.problem) : MHD_YES;
    }
    if (*size > 0) {
        if (current->body && *size <= current->expected - current->received)
            memcpy(current->body + current->received, data, *size);
        current->received += *size;
        *size = 0;
        return MHD_YES;
    }
    release_client(current->from);
    if (current->verdict != 200)
        return refuse(current, current->verdict, current->work.problem);
    return serve(current);
}

enum { CLIENT_GONE = 499 }; /* the status in log and metrics where no answer arrived, as in other servers */

static void completed(
    void* unused, struct MHD_Connection* connection, void** state, enum MHD_RequestTerminationCode why)
{
    (void)unused, (void)connection;
    request* ended = *state;
    if (!ended)
        return;
    *state = NULL;
    client_is_idle(ended->from);
    if (ended->status == 0)
        count_request(CLIENT_GONE);
    if (why != MHD_REQUEST_TERMINATED_COMPLETED_OK)
        ended->status = CLIENT_GONE;
    end_request(ended);
}

static void connection_changed(
    void* unused, struct MHD_Connection* connection, void** state, enum MHD_ConnectionNotificationCode what)
{
    (void)unused;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        *state = add_client(MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd);
    } else {
        remove_client(*state);
        *state = NULL;
    }
}

static struct MHD_Daemon* start_daemon(void)
{
    unsigned flags = MHD_USE_AUTO | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_ITC |
                     MHD_USE_NO_LISTEN_SOCKET;
    return MHD_start_daemon(
        flags, 0, NULL, NULL, handle_request, NULL, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)settings->connections + MOST_AT_THE_END, MHD_OPTION_NOTIFY_CONNECTION, connection_changed, NULL,
        MHD_OPTION_NOTIFY_COMPLETED, completed, NULL, MHD_OPTION_END);
}

int start_server(const options* chosen, const model* of)
{
    settings = chosen;
    served = of;
    if (!open_listener(chosen))
        return 0;
    daemon_ = start_daemon();
    if (daemon_ && start_accepting(daemon_))
        return 1;
    fputs("Error: cannot start threads; lower the load of this machine or raise its limits\n", stderr);
    return 0;
}

size_t stop_server(void)
{
    drain_connections();
    is_draining = 1;
    accept_late();
    const struct timespec pause = {0, 10 * 1000 * 1000};
    double end = now() + settings->drain_limit;
    while (!only_late_connections() && now() < end)
        nanosleep(&pause, NULL);
    stop_accepting();
    while ((is_accepting() || open_connections() > 0) && now() < end)
        nanosleep(&pause, NULL);
    size_t left = open_connections();
    if (!is_accepting() && left == 0)
        MHD_stop_daemon(daemon_);
    return left;
}
