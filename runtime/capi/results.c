/* Results are one block of memory: the structs, then each image's masks and arrays. Nothing in the block belongs to
 * Python, so results outlive their handle, and freeing the block needs no GIL. */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

enum { BOXES, SCORES, CLASS_IDS, MASK_SCORES, REGIONS, BITS, PARTS };

/* The buffers.Buffers of one image, which belong to Python. */
typedef struct image_buffers {
    const char* data[PARTS]; /* data[MASK_SCORES] is NULL where the model has none */
    Py_ssize_t size[PARTS];
    size_t count; /* detections */
} image_buffers;

static const char mismatch[] =
    "the bridge's results do not belong together or to the images; install yolact and "
    "libyolact of the same version";

static size_t aligned(size_t size) { return (size + 15) & ~(size_t)15; }

/* How many bytes the bits of a mask take, whose region is (top, left, height, width). */
static size_t bits_size(const int32_t region[4]) { return (size_t)region[2] * (((size_t)region[3] + 7) / 8); }

/* Whether each region lies inside the image and all their bits are there, neither more nor fewer. */
static int regions_fit(const image_buffers* buffers, const yolact_image* image)
{
    size_t bits = 0;
    int32_t region[4];
    for (size_t i = 0; i < buffers->count; i++) {
        memcpy(region, buffers->data[REGIONS] + i * sizeof region, sizeof region);
        if (region[0] < 0 || region[1] < 0 || region[2] < 0 || region[3] < 0 ||
            (int64_t)region[0] + region[2] > image->height || (int64_t)region[1] + region[3] > image->width)
            return 0;
        bits += bits_size(region);
    }
    return (size_t)buffers->size[BITS] == bits;
}

/* Reads buffers.Buffers of an image. Returns 0 with an exception set where the sizes do not belong together: later
 * copies rely on them to stay inside memory. */
static int read_buffers(PyObject* tuple, const yolact_image* image, image_buffers* buffers)
{
    const char** data = buffers->data;
    Py_ssize_t* size = buffers->size;
    if (!PyArg_ParseTuple(
            tuple, "y#y#y#z#y#y#", &data[0], &size[0], &data[1], &size[1], &data[2], &size[2], &data[3], &size[3],
            &data[4], &size[4], &data[5], &size[5]))
        return 0;
    size_t count = buffers->count = (size_t)size[SCORES] / sizeof(float);
    if ((size_t)size[SCORES] == count * sizeof(float) && (size_t)size[BOXES] == count * 4 * sizeof(float) &&
        (size_t)size[CLASS_IDS] == count * sizeof(int32_t) &&
        (!data[MASK_SCORES] || size[MASK_SCORES] == size[SCORES]) &&
        (size_t)size[REGIONS] == count * 4 * sizeof(int32_t) && regions_fit(buffers, image))
        return 1;
    PyErr_SetString(PyExc_RuntimeError, mismatch);
    return 0;
}

/* How many bytes of the block an image takes. */
static size_t image_size(const image_buffers* buffers)
{
    size_t size = aligned(buffers->count * sizeof(yolact_mask));
    for (int part = 0; part < PARTS; part++)
        if (part != REGIONS && buffers->data[part])
            size += aligned((size_t)buffers->size[part]);
    return size;
}

/* Copies a part to the cursor and moves the cursor on. Returns the copy, or NULL for a part that is not there. */
static const void* take(const image_buffers* buffers, int part, char** cursor)
{
    if (!buffers->data[part])
        return NULL;
    const void* start = memcpy(*cursor, buffers->data[part], (size_t)buffers->size[part]);
    *cursor += aligned((size_t)buffers->size[part]);
    return start;
}

static void fill_image(const image_buffers* buffers, yolact_detections* image, char** cursor)
{
    yolact_mask* masks = (yolact_mask*)*cursor;
    *cursor += aligned(buffers->count * sizeof *masks);
    image->count = buffers->count;
    image->boxes = take(buffers, BOXES, cursor);
    image->scores = take(buffers, SCORES, cursor);
    image->class_ids = take(buffers, CLASS_IDS, cursor);
    image->mask_scores = take(buffers, MASK_SCORES, cursor);
    image->masks = masks;
    const uint8_t* bits = take(buffers, BITS, cursor);
    int32_t region[4];
    for (size_t i = 0; i < image->count; i++) {
        memcpy(region, buffers->data[REGIONS] + i * sizeof region, sizeof region);
        masks[i] = (yolact_mask){region[0], region[1], region[2], region[3], bits};
        bits += bits_size(region);
    }
}

/* The block with the results of all images, or NULL with an exception set where memory is short. */
static yolact_results* fill(const image_buffers* buffers, size_t count)
{
    size_t images_size = aligned(count * sizeof(yolact_detections));
    size_t size = aligned(sizeof(yolact_results)) + images_size;
    for (size_t i = 0; i < count; i++)
        size += image_size(&buffers[i]);
    char* cursor = malloc(size);
    if (!cursor) {
        PyErr_NoMemory();
        return NULL;
    }
    yolact_results* results = (yolact_results*)cursor;
    cursor += aligned(sizeof *results);
    yolact_detections* images = (yolact_detections*)cursor;
    cursor += images_size;
    for (size_t i = 0; i < count; i++)
        fill_image(&buffers[i], &images[i], &cursor);
    *results = (yolact_results){count, images};
    return results;
}

yolact_status pack_results(PyObject* found, const yolact_image* images, size_t count, yolact_results** results)
{
    int is_list = PyList_Check(found) && (size_t)PyList_Size(found) == count;
    image_buffers* buffers = is_list ? calloc(count + 1, sizeof *buffers) : NULL;
    int is_read = buffers != NULL;
    for (size_t i = 0; is_read && i < count; i++)
        is_read = read_buffers(PyList_GetItem(found, (Py_ssize_t)i), &images[i], &buffers[i]);
    if (is_read)
        *results = fill(buffers, count);
    else if (!is_list)
        PyErr_SetString(PyExc_RuntimeError, mismatch);
    else if (!PyErr_Occurred())
        PyErr_NoMemory();
    free(buffers);
    return *results ? YOLACT_OK : fail_with_exception();
}

void yolact_results_free(yolact_results* results) { free(results); }
