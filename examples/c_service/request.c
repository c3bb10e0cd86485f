#include "request.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

/* Keeps the sentence and returns the status. */
static int refuse(request* of, int status, const char* format, ...) __attribute__((format(printf, 3, 4)));

static int refuse(request* of, int status, const char* format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(of->work.problem, sizeof of->work.problem, format, arguments);
    va_end(arguments);
    return status;
}

static const char* header(const request* of, const char* name)
{
    return MHD_lookup_connection_value(of->connection, MHD_HEADER_KIND, name);
}

static void free_request(request* of)
{
    text_free(&of->method);
    text_free(&of->path);
    free(of->body);
    free(of);
}

/* Takes the client's id where a log can show it as it is, else the next number. */
static void choose_id(request* of)
{
    static atomic_ullong last;
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    const char* given = header(of, "X-Request-Id");
    if (given && given[0] && strlen(given) < sizeof of->id && strspn(given, allowed) == strlen(given))
        memcpy(of->id, given, strlen(given) + 1);
    else
        snprintf(of->id, sizeof of->id, "%llu", atomic_fetch_add(&last, 1) + 1);
}

/* Adds a client's words for logs and errors. Bytes that are not printable ASCII become %XX. */
static void add_printable(text* to, const char* words)
{
    enum { LONGEST = 200 };
    text_add(to, words, 0); /* no words are a text too */
    for (int i = 0; words[i] && i < LONGEST; i++) {
        unsigned char byte = (unsigned char)words[i];
        if (byte < 0x20 || byte > 0x7e)
            text_format(to, "%%%02X", byte);
        else
            text_add(to, &words[i], 1);
    }
}

request* start_request(struct MHD_Connection* connection, const char* path, const char* method)
{
    request* started = calloc(1, sizeof *started);
    if (!started)
        return NULL;
    started->connection = connection;
    started->from = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
    started->started = now();
    add_printable(&started->method, method);
    add_printable(&started->path, path);
    choose_id(started);
    if (started->method.failed || started->path.failed) {
        free_request(started);
        return NULL;
    }
    return started;
}

/* The whole number from 1 to `high` that the word is, else -1. */
static long long number(const char* word, long long high)
{
    char* end;
    if (!word || *word < '0' || *word > '9')
        return -1;
    errno = 0;
    long long value = strtoll(word, &end, 10);
    return *end || errno || value < 1 || value > high ? -1 : value;
}

static int read_format(const char* word)
{
    static const char* const names[] = {"bgr", "rgb", "gray", "bgra"};
    for (int format = 0; word && format < 4; format++)
        if (strcmp(word, names[format]) == 0)
            return format;
    return -1;
}

/* Reads size and layout of raw pixels. Returns the HTTP status. */
static int read_raw_headers(request* of, const options* settings)
{
    static const size_t pixel_sizes[] = {3, 3, 1, 4};
    long long height = number(header(of, "X-Image-Height"), YOLACT_MAX_SIDE);
    long long width = number(header(of, "X-Image-Width"), YOLACT_MAX_SIDE);
    int format = read_format(header(of, "X-Image-Format"));
    const char* given_stride = header(of, "X-Image-Stride");
    if (height < 0 || width < 0 || format < 0)
        return refuse(
            of, 400, "expected X-Image-Width and X-Image-Height from 1 to %d and X-Image-Format bgr, rgb, gray or bgra",
            YOLACT_MAX_SIDE);
    if ((unsigned long long)(height * width) > settings->max_pixels)
        return refuse(
            of, 413, "expected an image of at most %zu pixels, got %lldx%lld", settings->max_pixels, width, height);
    size_t row = (size_t)width * pixel_sizes[format];
    long long stride = given_stride ? number(given_stride, 1LL << 32) : (long long)row;
    if (stride < (long long)row)
        return refuse(of, 400, "expected X-Image-Stride to be a number from %zu, the bytes of a row", row);
    size_t least = (size_t)(height - 1) * (size_t)stride + row, most = (size_t)height * (size_t)stride;
    if (of->expected < least || of->expected > most)
        return refuse(
            of, 400, "expected a body of %zu bytes for %lldx%lld pixels, got %zu", least, width, height, of->expected);
    of->work.image = (yolact_image){NULL, (int32_t)height, (int32_t)width, (size_t)stride, format};
    return 200;
}

enum { LENGTHS, JSON_LENGTHS, STRANGE_NAMES, DOUBTS };

static const char json_length[] = "Inference-Header-Content-Length";

static enum MHD_Result count_doubts(void* doubts, enum MHD_ValueKind kind, const char* name, const char* value)
{
    (void)kind, (void)value;
    int* count = doubts;
    if (name[strcspn(name, " \t")])
        count[STRANGE_NAMES]++;
    else if (strcasecmp(name, "Content-Length") == 0)
        count[LENGTHS]++;
    else if (strcasecmp(name, json_length) == 0)
        count[JSON_LENGTHS]++;
    return MHD_YES;
}

int check_framing(request* of)
{
    int counts[DOUBTS] = {0};
    MHD_get_connection_values(of->connection, MHD_HEADER_KIND, count_doubts, counts);
    int has_coding = header(of, "Transfer-Encoding") != NULL;
    of->must_close = has_coding || counts[LENGTHS] > 1 || counts[STRANGE_NAMES] > 0;
    if (counts[LENGTHS] + has_coding > 1 || counts[STRANGE_NAMES] > 0)
        return refuse(of, 400, "expected one Content-Length and no spaces in names of headers");
    if (counts[JSON_LENGTHS] > 1)
        return refuse(of, 400, "expected one %s, got %d", json_length, counts[JSON_LENGTHS]);
    return 200;
}

int is_endless(const request* of, size_t most)
{
    enum { PATIENCE = 16 };
    const char *coding = header(of, "Transfer-Encoding"), *length = header(of, "Content-Length");
    if (coding)
        return strcasecmp(coding, "chunked") != 0;
    return length && strtoull(length, NULL, 10) / PATIENCE > most; /* what is beyond 64 bits counts as 2^64 - 1 */
}

/* Reads how many bytes the body has. Returns the HTTP status. */
static int read_length(request* of, size_t most)
{
    const char* length = header(of, "Content-Length");
    if (header(of, "Transfer-Encoding") || !length)
        return refuse(of, 411, "expected a Content-Length; send the body in one piece, not chunked");
    if (!*length || length[strspn(length, "0123456789")])
        return refuse(of, 400, "expected Content-Length to be a number of bytes in digits");
    errno = 0;
    unsigned long long size = strtoull(length, NULL, 10);
    if (errno || size > most)
        return refuse(of, 413, "expected a body of at most %zu bytes, got %.40s", most, length);
    if (size == 0)
        return refuse(of, 400, "expected %s as the body, got none", of->to == V2_INFER ? "JSON" : "an image");
    of->expected = (size_t)size;
    return 200;
}

/* Reads how many bytes of a V2 request are JSON: all, or those before its tensors. Returns the HTTP status. */
static int read_json_length(request* of)
{
    const char* given = header(of, json_length);
    long long size = given ? number(given, (long long)of->expected) : (long long)of->expected;
    if (size < 0)
        return refuse(
            of, 400, "expected %s to be the bytes of JSON at the start of the body, from 1 to %zu, got %.40s",
            json_length, of->expected, given);
    of->json_size = (size_t)size;
    return 200;
}

/* Refuses a body that has the image or the JSON inside a form or a coding. Returns the HTTP status. */
static int check_wrapping(request* of)
{
    const char *type = header(of, "Content-Type"), *coding = header(of, "Content-Encoding");
    int is_v2 = of->to == V2_INFER;
    if (is_v2 && type && strncasecmp(type, "multipart/", 10) == 0)
        return refuse(of, 415, "expected JSON as the body, got a form");
    if (type && strncasecmp(type, "multipart/", 10) == 0)
        return refuse(
            of, 415,
            "expected the image itself as the body, got a form; send the file as it is, with curl by --data-binary "
            "@photo.jpg instead of -F");
    if (coding && *coding && strcasecmp(coding, "identity") != 0)
        return refuse(
            of, 415, "expected %s as the body, got a Content-Encoding; send %s as it is",
            is_v2 ? "JSON" : "the image itself", is_v2 ? "that" : "the file");
    return 200;
}

int read_headers(request* of, const options* settings)
{
    int status = read_length(of, settings->max_body);
    if (status == 200)
        status = check_wrapping(of);
    int is_raw = of->to == INFER &&
                 (header(of, "X-Image-Width") || header(of, "X-Image-Height") || header(of, "X-Image-Format"));
    if (status == 200 && is_raw)
        status = read_raw_headers(of, settings);
    if (status == 200 && of->to == V2_INFER)
        status = read_json_length(of);
    if (status != 200)
        return status;
    if (is_queue_full())
        return refuse(of, 503, "%zu requests wait already; try later", settings->queue_size);
    of->body = malloc(of->expected);
    if (!of->body)
        return refuse(of, 503, "memory ran out; try later");
    of->work.body = of->body;
    of->work.size = of->expected;
    if (is_raw)
        of->work.image.data = of->body;
    return 200;
}

/* Writes one line. Nothing that the client sent can start another line or end a quoted word. */
static void write_log(request* of)
{
    char stamp[32], address[64] = "unknown";
    time_t seconds = time(NULL);
    struct tm parts;
    strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&seconds, &parts));
    const union MHD_ConnectionInfo* info = MHD_get_connection_info(of->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    if (info)
        getnameinfo(
            info->client_addr,
            info->client_addr->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in),
            address, sizeof address, NULL, 0, NI_NUMERICHOST);
    text line = {0};
    text_format(
        &line, "%s client=%s id=%s status=%d ms=%.1f bytes=%zu answer=%zu", stamp, address, of->id, of->status,
        (now() - of->started) * 1e3, of->received, of->answer_size);
    if (of->work.batch)
        text_format(
            &line, " wait_ms=%.1f engine_ms=%.1f batch=%zu", of->work.wait_seconds * 1e3, of->work.engine_seconds * 1e3,
            of->work.batch);
    text_format(&line, " method=");
    text_quote(&line, of->method.data);
    text_format(&line, " path=");
    text_quote(&line, of->path.data);
    text_add(&line, "\n", 1);
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&lock);
    /* A pipe that has room at all has room for a line. Where its reader hangs, lines are lost and answers are not. */
    struct pollfd log = {STDOUT_FILENO, POLLOUT, 0};
    if (!line.failed && poll(&log, 1, 0) == 1 && log.revents & POLLOUT)
        fwrite(line.data, 1, line.size, stdout);
    pthread_mutex_unlock(&lock);
    text_free(&line);
}

void end_request(request* of)
{
    write_log(of);
    free_request(of);
}
