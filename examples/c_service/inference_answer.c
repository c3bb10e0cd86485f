#include "inference_answer.h"

#include <math.h>
#include <string.h>

#include "mask_rle.h"

/* The destination of a tensor's values, in JSON with commas between them. */
typedef struct value_writer {
    text* to;
    int is_binary, is_later;
} value_writer;

static void begin_value(value_writer* values)
{
    if (values->is_later && !values->is_binary)
        text_add(values->to, ", ", 2);
    values->is_later = 1;
}

/* Adds four bytes, the lowest first. */
static void add_bits(text* to, uint32_t bits)
{
    const char bytes[] = {(char)bits, (char)(bits >> 8), (char)(bits >> 16), (char)(bits >> 24)};
    text_add(to, bytes, sizeof bytes);
}

static void add_whole(value_writer* values, int32_t number)
{
    begin_value(values);
    if (values->is_binary)
        add_bits(values->to, (uint32_t)number);
    else
        text_format(values->to, "%ld", (long)number);
}

static void add_real(value_writer* values, float real)
{
    uint32_t bits;
    begin_value(values);
    memcpy(&bits, &real, sizeof bits);
    if (values->is_binary)
        add_bits(values->to, bits);
    else if (isfinite(real))
        text_format(values->to, "%.9g", (double)real); /* so many digits that a reader gets the very number */
    else
        text_format(values->to, "null");
}

static void add_mask(value_writer* values, const yolact_mask* mask, const yolact_image* image)
{
    text counts = {0};
    begin_value(values);
    text_add(&counts, "", 0);
    if (mask)
        write_mask_counts(&counts, mask, image->width, image->height);
    values->to->failed |= counts.failed;
    if (values->is_binary) {
        add_bits(values->to, (uint32_t)counts.size);
        text_add(values->to, counts.failed ? "" : counts.data, counts.failed ? 0 : counts.size);
    } else {
        text_quote(values->to, counts.failed ? "" : counts.data); /* quoted, as COCO's form may contain a backslash */
    }
    text_free(&counts);
}

/* Adds a row of a tensor: of the image, or of its detection `row`, which may be past the last. */
static void add_row(value_writer* values, tensor which, const job* done, size_t row)
{
    const yolact_detections* found = done->found;
    int is_there = row < found->count;
    switch (which) {
    case NUM_DETECTIONS: add_whole(values, (int32_t)found->count); break;
    case IMAGE_SIZES:
        add_whole(values, done->image.height);
        add_whole(values, done->image.width);
        break;
    case BOXES:
        for (size_t i = 0; i < 4; i++)
            add_real(values, is_there ? found->boxes[4 * row + i] : 0);
        break;
    case SCORES: add_real(values, is_there ? found->scores[row] : 0); break;
    case CLASSES: add_whole(values, is_there ? found->class_ids[row] : 0); break;
    case MASKS: add_mask(values, is_there ? &found->masks[row] : NULL, &done->image); break;
    case MASK_SCORES: add_real(values, is_there && found->mask_scores ? found->mask_scores[row] : 0); break;
    case TENSORS: break;
    }
}

static void add_values(value_writer* values, tensor which, const job* done, size_t images, size_t rows)
{
    for (size_t image = 0; image < images; image++)
        for (size_t row = 0; row < (tensor_kinds[which].has_rows ? rows : 1); row++)
            add_row(values, which, &done[image], row);
}

/* Writes one output into the JSON, and where it is binary, its values behind the others in `binary`. */
static void write_output(text* json, text* binary, tensor which, const job* done, size_t images, size_t rows)
{
    const tensor_kind* kind = &tensor_kinds[which];
    text_format(json, "{\"name\": \"%s\", \"datatype\": \"%s\", \"shape\": [%zu", kind->name, kind->datatype, images);
    if (kind->has_rows)
        text_format(json, ", %zu", rows);
    if (kind->columns)
        text_format(json, ", %zu", kind->columns);
    value_writer values = {binary ? binary : json, binary != NULL, 0};
    if (binary) {
        size_t before = binary->size;
        add_values(&values, which, done, images, rows);
        text_format(json, "], \"parameters\": {\"binary_data_size\": %zu}}", binary->size - before);
        return;
    }
    text_format(json, "], \"data\": [");
    add_values(&values, which, done, images, rows);
    text_format(json, "]}");
}

size_t write_inference_answer(text* to, const inference_request* asked, const job* done)
{
    size_t rows = 0;
    for (size_t i = 0; i < asked->image_count; i++)
        if (done[i].found->count > rows)
            rows = done[i].found->count;
    int has_binary = 0;
    text binary = {0};
    text_format(to, "{\"model_name\": \"" MODEL_NAME "\", \"model_version\": \"" MODEL_VERSION "\", ");
    if (asked->id[0]) {
        text_format(to, "\"id\": ");
        text_quote(to, asked->id);
        text_format(to, ", ");
    }
    text_format(to, "\"outputs\": [");
    for (size_t i = 0; i < asked->output_count; i++) {
        int is_binary = asked->outputs[i].is_binary;
        has_binary |= is_binary;
        text_format(to, i ? ", " : "");
        write_output(to, is_binary ? &binary : NULL, asked->outputs[i].which, done, asked->image_count, rows);
    }
    text_format(to, "]}");
    size_t json_size = to->size;
    if (binary.data)
        text_add(to, binary.data, binary.size);
    to->failed |= binary.failed;
    text_free(&binary);
    return has_binary ? json_size : 0;
}
