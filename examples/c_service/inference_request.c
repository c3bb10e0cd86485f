#include "inference_request.h"

#include <stdlib.h>
#include <string.h>

#include "encoded_images.h"
#include "inference_refusal.h"
#include "json_reader.h"

enum { LONGEST_ID = 256, LONGEST_SHOWN = 60, MOST_DIMENSIONS = 8 };

/* The input as its JSON describes it. Its members may come in any order, so they are checked once all were read. */
typedef struct input {
    const char *name, *datatype;
    uint64_t shape[MOST_DIMENSIONS];
    size_t rank;
    json_reader data; /* at the list of texts */
    int has_data;
    uint64_t binary_size;
    int has_binary, is_shared;
} input;

/* ---- The JSON ---- */

static void read_shape(json_reader* from, input* to)
{
    json_enter(from, '[');
    for (size_t count = 0; json_goes_on(from, ']', &count);) {
        uint64_t size = json_number(from);
        if (count <= MOST_DIMENSIONS)
            to->shape[count - 1] = size;
        to->rank = count;
    }
}

static void read_input_parameters(json_reader* from, input* to)
{
    static const char* const names[] = {"binary_data_size", "shared_memory_region", NULL};
    unsigned seen = 0;
    json_enter(from, '{');
    for (size_t count = 0; json_goes_on(from, '}', &count);) {
        int member = json_member(from, names, &seen);
        if (member == 0) {
            to->binary_size = json_number(from);
            to->has_binary = 1;
        } else {
            json_skip(from);
            to->is_shared |= member == 1;
        }
    }
}

static void read_input(json_reader* from, input* to)
{
    static const char* const names[] = {"name", "datatype", "shape", "data", "parameters", NULL};
    unsigned seen = 0;
    json_enter(from, '{');
    for (size_t count = 0; json_goes_on(from, '}', &count);) {
        switch (json_member(from, names, &seen)) {
        case 0: to->name = json_text(from); break;
        case 1: to->datatype = json_text(from); break;
        case 2: read_shape(from, to); break;
        case 3:
            to->has_data = 1;
            to->data = *from;
            json_skip(from);
            break;
        case 4: read_input_parameters(from, to); break;
        default: json_skip(from);
        }
    }
}

/* Reads the list of inputs, of which there is one. */
static void read_inputs(inference_request* to, json_reader* from, input* first)
{
    size_t count = 0;
    json_enter(from, '[');
    while (json_goes_on(from, ']', &count)) {
        if (count == 1)
            read_input(from, first);
        else
            json_skip(from);
    }
    if (count > 1)
        refuse_inference(to, "expected one input, %s, got %zu; send all images in that one", INPUT_NAME, count);
}

/* Returns whether the output comes in binary form, `by_default` where it does not say. */
static int read_output_parameters(inference_request* to, json_reader* from, int by_default)
{
    static const char* const names[] = {"binary_data", "shared_memory_region", "classification", NULL};
    unsigned seen = 0;
    json_enter(from, '{');
    for (size_t count = 0; json_goes_on(from, '}', &count);) {
        int member = json_member(from, names, &seen);
        if (member == 0)
            by_default = json_flag(from);
        else
            json_skip(from);
        if (member > 0)
            refuse_inference(
                to, "expected an output without %s, which this service does not know; leave it out", names[member]);
    }
    return by_default;
}

enum { AS_THE_REQUEST_SAYS = -1 };

static void add_output(inference_request* to, const char* name, int is_binary, const model* of)
{
    size_t which = 0;
    while (which < of->outputs && strcmp(tensor_kinds[which].name, name) != 0)
        which++;
    if (which == of->outputs) {
        refuse_inference(
            to, "expected outputs that GET /v2/models/" MODEL_NAME " lists, got %.*s", LONGEST_SHOWN,
            *name ? name : "one without a name");
        return;
    }
    for (size_t i = 0; i < to->output_count; i++)
        if (to->outputs[i].which == (tensor)which) {
            refuse_inference(to, "expected each output once, got %s twice", name);
            return;
        }
    to->outputs[to->output_count].which = (tensor)which;
    to->outputs[to->output_count++].is_binary = is_binary;
}

static void read_outputs(inference_request* to, json_reader* from, const model* of)
{
    static const char* const names[] = {"name", "parameters", NULL};
    json_enter(from, '[');
    for (size_t outputs = 0; json_goes_on(from, ']', &outputs);) {
        const char* name = NULL;
        int is_binary = AS_THE_REQUEST_SAYS;
        unsigned seen = 0;
        json_enter(from, '{');
        for (size_t count = 0; json_goes_on(from, '}', &count);) {
            int member = json_member(from, names, &seen);
            if (member == 0)
                name = json_text(from);
            else if (member == 1)
                is_binary = read_output_parameters(to, from, is_binary);
            else
                json_skip(from);
        }
        if (!from->expected)
            add_output(to, name ? name : "", is_binary, of);
    }
}

/* Reads the parameters of the request. Those of Triton's scheduler are taken and have no effect; any other is refused,
 * as clients would expect an effect. Returns whether outputs that do not say otherwise come in binary form. */
static int read_parameters(inference_request* to, json_reader* from)
{
    static const char* const names[] = {
        "binary_data_output", "sequence_id", "sequence_start", "sequence_end", "priority", "timeout", NULL};
    unsigned seen = 0;
    int is_binary = 0;
    json_enter(from, '{');
    for (size_t count = 0; json_goes_on(from, '}', &count);) {
        int member = json_member(from, names, &seen);
        if (member < 0 && !from->expected)
            refuse_inference(
                to,
                "expected a request without the parameter %.*s; thresholds are given to this service when it starts",
                LONGEST_SHOWN, from->member);
        if (member == 0)
            is_binary = json_flag(from);
        else
            json_skip(from);
    }
    return is_binary;
}

/* Names all outputs where the request named none, and says of each in which form it comes. */
static void complete_outputs(inference_request* to, int is_binary, const model* of)
{
    if (to->output_count == 0)
        for (size_t i = 0; i < of->outputs; i++)
            add_output(to, tensor_kinds[i].name, AS_THE_REQUEST_SAYS, of);
    for (size_t i = 0; i < to->output_count; i++)
        if (to->outputs[i].is_binary == AS_THE_REQUEST_SAYS)
            to->outputs[i].is_binary = is_binary;
}

static void read_members(inference_request* to, json_reader* from, input* image, const model* of)
{
    static const char* const names[] = {"id", "inputs", "outputs", "parameters", NULL};
    unsigned seen = 0;
    int is_binary = 0;
    json_enter(from, '{');
    for (size_t count = 0; json_goes_on(from, '}', &count);) {
        switch (json_member(from, names, &seen)) {
        case 0: to->id = json_text(from); break;
        case 1: read_inputs(to, from, image); break;
        case 2: read_outputs(to, from, of); break;
        case 3: is_binary = read_parameters(to, from); break;
        default: json_skip(from);
        }
    }
    json_end(from);
    complete_outputs(to, is_binary, of);
}

/* ---- The input ---- */

static int refuse_shape(inference_request* to, const input* image, const model* of)
{
    text shown = {0};
    for (size_t i = 0; i < image->rank && i < MOST_DIMENSIONS; i++)
        text_format(&shown, "%s%llu", i ? ", " : "", (unsigned long long)image->shape[i]);
    refuse_inference(
        to, "expected " INPUT_NAME " to have the shape [n, 1] with n from 1 to %zu, got [%s%s]", of->most_images,
        shown.data ? shown.data : "", image->rank > MOST_DIMENSIONS ? ", ..." : "");
    text_free(&shown);
    return 400;
}

/* Checks name, type and shape, and where the images are. Returns the HTTP status. */
static int check_input(inference_request* to, const input* image, const model* of)
{
    if (!image->name || strcmp(image->name, INPUT_NAME) != 0)
        return refuse_inference(
            to, "expected the input " INPUT_NAME ", got %.*s", LONGEST_SHOWN,
            image->name && *image->name ? image->name : "none");
    if (!image->datatype || strcmp(image->datatype, "BYTES") != 0)
        return refuse_inference(
            to, "expected " INPUT_NAME " to be of the datatype BYTES, got %.*s; send JPEG or PNG files as they are",
            LONGEST_SHOWN, image->datatype && *image->datatype ? image->datatype : "none");
    if (image->rank != 2 || image->shape[1] != 1 || image->shape[0] < 1 || image->shape[0] > of->most_images)
        return refuse_shape(to, image, of);
    if (image->is_shared)
        return refuse_inference(
            to,
            "expected the images in the request, got a region of shared memory, which this service does "
            "not have; send the files themselves");
    if (image->has_data == image->has_binary)
        return refuse_inference(
            to, "expected the images either as data or as bytes after the JSON, of a binary_data_size, got %s",
            image->has_data ? "both" : "neither");
    return 200;
}

int read_inference_request(inference_request* to, unsigned char* body, size_t size, size_t json_size, const model* of)
{
    json_reader json = {body, body, body + json_size, NULL, NULL};
    input image = {0};
    *to = (inference_request){0};
    read_members(to, &json, &image, of);
    if (json.expected)
        return refuse_json(to, &json);
    if (!to->id)
        to->id = "";
    if (strlen(to->id) > LONGEST_ID)
        refuse_inference(to, "expected an id of at most %d bytes, got %zu", LONGEST_ID, strlen(to->id));
    if (to->problem[0] || check_input(to, &image, of) != 200)
        return 400;
    size_t after = size - json_size;
    if (image.has_binary ? image.binary_size != after : after > 0)
        return refuse_inference(
            to,
            "expected a binary_data_size of the %zu bytes that follow the JSON, got %llu; see that "
            "Inference-Header-Content-Length is the size of the JSON alone",
            after, (unsigned long long)image.binary_size);
    to->image_count = (size_t)image.shape[0];
    to->images = calloc(to->image_count, sizeof *to->images);
    if (!to->images) {
        refuse_inference(to, "memory ran out; try later");
        return 503;
    }
    return image.has_binary ? take_binary_images(to, body + json_size, after) : take_base64_images(to, &image.data);
}

void free_inference_request(inference_request* of)
{
    free(of->images);
    of->images = NULL;
}
