/* What examples/c_service does with bytes from outside, as a target for libFuzzer: heads of requests, headers of
 * images, bodies of V2 requests, and JSON of whatever a network and its class names may hold. The first byte of the
 * data says which. A sanitizer sees reads beyond memory, `demand` what else must hold, and the test that reads stdout
 * whether JSON and log are sound. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "image_header.h"
#include "inference_answer.h"
#include "request.h"
#include "results_json.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

static void demand(int holds, const char* what)
{
    if (holds)
        return;
    fprintf(stderr, "expected that %s\n", what);
    abort();
}

/* A copy of the very size, or with a zero behind it, so that a read beyond it is noticed. */
static void* copied(const uint8_t* data, size_t size, size_t zeros)
{
    char* copy = calloc(size + zeros ? size + zeros : 1, 1);
    demand(copy != NULL, "there is memory");
    if (size > 0)
        memcpy(copy, data, size);
    return copy;
}

static void read_image(const uint8_t* data, size_t size)
{
    unsigned char* file = copied(data, size, 0);
    uint32_t width, height;
    image_kind kind = read_image_header(file, size, &width, &height);
    demand(kind != KIND_OTHER || (width == 0 && height == 0), "only images have a size");
    demand(kind != KIND_JPEG || (width < 65536 && height < 65536), "a JPEG has sides of 16 bits");
    if (kind != KIND_OTHER)
        is_costly(kind, file, size);
    free(file);
}

/* ---- What request.c calls: libmicrohttpd, whose headers come from the data, and the pipeline. ---- */

enum { MOST_HEADERS = 32 };

static struct {
    char *names[MOST_HEADERS], *values[MOST_HEADERS];
    int count;
} headers;

const char* MHD_lookup_connection_value(struct MHD_Connection* of, enum MHD_ValueKind kind, const char* name)
{
    (void)of, (void)kind;
    for (int i = 0; i < headers.count; i++)
        if (strcasecmp(headers.names[i], name) == 0)
            return headers.values[i];
    return NULL;
}

int MHD_get_connection_values(
    struct MHD_Connection* of, enum MHD_ValueKind kind, MHD_KeyValueIterator each, void* state)
{
    (void)of;
    for (int i = 0; i < headers.count; i++)
        each(state, kind, headers.names[i], headers.values[i]);
    return headers.count;
}

const union MHD_ConnectionInfo* MHD_get_connection_info(
    struct MHD_Connection* of, enum MHD_ConnectionInfoType type, ...)
{
    static const union MHD_ConnectionInfo nobody;
    (void)of;
    return type == MHD_CONNECTION_INFO_SOCKET_CONTEXT ? &nobody : NULL;
}

double now(void) { return 0; }

int is_queue_full(void) { return 0; }

/* Takes the next line off `rest`, which ends with a zero. */
static char* next_line(char** rest)
{
    char* line = *rest;
    *rest += strcspn(*rest, "\n");
    if (**rest)
        *(*rest)++ = '\0';
    return line;
}

/* Lines: the path, the method, then "Name: value" each. */
static void read_request(const uint8_t* data, size_t size)
{
    options settings = {.max_body = 4096, .max_pixels = 1000};
    char *lines = copied(data, size, 1), *rest = lines;
    char *path = next_line(&rest), *method = next_line(&rest);
    for (headers.count = 0; *rest && headers.count < MOST_HEADERS; headers.count++) {
        char* line = next_line(&rest);
        size_t colon = strcspn(line, ":");
        headers.values[headers.count] = line + colon + (line[colon] == ':') + (line[colon] && line[colon + 1] == ' ');
        headers.names[headers.count] = line;
        line[colon] = '\0';
    }
    request* one = start_request(NULL, path, method);
    demand(one != NULL, "there is memory");
    one->to = find_route(path) == V2_INFER ? V2_INFER : INFER;
    int status = check_framing(one);
    if (status == 200)
        status = read_headers(one, &settings);
    const yolact_image* image = &one->work.image;
    demand((status == 200) == (one->body != NULL), "a request that is taken has room for its body, no other has");
    demand(status == 200 || one->work.problem[0], "a refusal says why");
    demand(one->expected <= settings.max_body, "a body keeps its limit");
    demand(one->json_size <= one->expected, "JSON is a part of its body");
    demand(
        status != 200 || image->height == 0 ||
            (size_t)(image->height - 1) * image->stride + (size_t)image->width <= one->expected,
        "raw pixels are inside their body");
    text problem = {0};
    text_quote(&problem, one->work.problem);
    puts(problem.data);
    text_free(&problem);
    one->status = status;
    end_request(one); /* writes the line of the log */
    free(lines);
}

/* ---- What results_json.c calls: the class names come from the data. ---- */

static char* class_name;

const char* yolact_class_name(yolact_handle handle, int32_t class_id)
{
    (void)handle;
    return class_id % 5 == 0 ? NULL : class_name;
}

/* Numbers of a detection, its mask's place, then a name of eight bytes, the mask's bits and the source's name. */
static void write_json(const uint8_t* data, size_t size)
{
    enum { HEIGHT = 40, WIDTH = 50, NUMBERS = 6 * 4, PLACE = 4, NAME = 8 };
    if (size < NUMBERS + PLACE + NAME)
        return;
    float numbers[6];
    memcpy(numbers, data, NUMBERS);
    const uint8_t* place = data + NUMBERS;
    yolact_mask mask = {place[0] % HEIGHT, place[1] % WIDTH, 0, 0, NULL};
    mask.height = place[2] % (HEIGHT - mask.top + 1);
    mask.width = place[3] % (WIDTH - mask.left + 1);
    size_t bits = (size_t)mask.height * (((size_t)mask.width + 7) / 8);
    const uint8_t *after = place + PLACE + NAME, *end = data + size;
    if ((size_t)(end - after) < bits)
        return;
    class_name = copied(place + PLACE, NAME, 1);
    mask.bits = copied(after, bits, 0);
    char* source = copied(after + bits, (size_t)(end - after) - bits, 1);
    int32_t class_id = place[0];
    yolact_detections found = {1, numbers, &numbers[4], &class_id, place[1] % 2 ? &numbers[5] : NULL, &mask};
    text json = {0};
    write_results(&json, 1, source, &found, WIDTH, HEIGHT);
    demand(!json.failed && strlen(json.data) == json.size, "JSON has no zeros");
    fwrite(json.data, 1, json.size, stdout);
    text_free(&json);
    free(source);
    free((void*)(uintptr_t)mask.bits);
    free(class_name);
}

/* ---- A body of KServe's V2 protocol ---- */

static const model served = {1, TENSORS, 4};

int32_t yolact_class_count(yolact_handle handle) { return (int32_t)handle; }

static void print_line(const char* words, size_t size)
{
    fwrite(words, 1, size, stdout);
    putchar('\n');
}

/* Answers with `count` detections, of which the first has a mask, in each image. */
static void write_answer(const inference_request* asked, size_t count)
{
    enum { MOST = 3 };
    static const float numbers[4 * MOST] = {1.5f, -2, 3e38f, 0.1f};
    static const int32_t class_ids[MOST] = {7};
    static const uint8_t bits[] = {0xa0, 0x40};
    static const yolact_mask masks[MOST] = {{1, 2, 2, 3, bits}};
    const yolact_detections found[] = {
        {count % (MOST + 1), numbers, numbers, class_ids, numbers, masks}, {0, NULL, NULL, NULL, NULL, NULL}};
    job done[4];
    for (size_t i = 0; i < asked->image_count; i++)
        done[i] = (job){.found = &found[i % 2], .image = {NULL, 5, 6, 0, 0}};
    text answer = {0};
    size_t json_size = write_inference_answer(&answer, asked, done);
    demand(!answer.failed && json_size <= answer.size, "an answer has its JSON first");
    print_line(answer.data, json_size ? json_size : answer.size);
    text_free(&answer);
}

/* Two bytes: how many others are no JSON. Then the body. */
static void read_inference(const uint8_t* data, size_t size)
{
    size_t binary = size < 2 ? 0 : data[0] + 256u * data[1];
    if (size < 3 || binary >= size - 2)
        return;
    size -= 2;
    unsigned char* body = copied(data + 2, size, 0);
    inference_request asked;
    int status = read_inference_request(&asked, body, size, size - binary, &served);
    demand((status == 200) == !asked.problem[0], "a refusal says why, and nothing else does");
    demand(status != 200 || (asked.image_count >= 1 && asked.image_count <= 4), "there are as many images as may be");
    for (size_t i = 0; status == 200 && i < asked.image_count; i++) {
        const encoded_image* image = &asked.images[i];
        demand(image->data >= body && image->data + image->size <= body + size, "images lie in the body");
    }
    if (status == 200) {
        demand(asked.output_count >= 1 && asked.output_count <= TENSORS, "each output comes once at most");
        write_answer(&asked, size);
    } else {
        text problem = {0};
        text_format(&problem, "{\"error\": ");
        text_quote(&problem, asked.problem);
        text_format(&problem, "}");
        print_line(problem.data, problem.size);
        text_free(&problem);
    }
    free_inference_request(&asked);
    free(body);
}

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size)
{
    static void (*const targets[])(const uint8_t*, size_t) = {read_image, read_request, write_json, read_inference};
    if (size > 0)
        targets[data[0] % 4](data + 1, size - 1);
    return 0;
}
